import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { until } from './until.ts';

/** What the receiver does with a request, other than an ordinary answer. */
export type Mischief =
  /** Reads it and never answers. */
  | 'silence'
  /** Resets the connection before a byte of the request is read. */
  | 'reset at once'
  /** Reads the request and resets the connection. */
  | 'reset'
  /** Bytes that are not HTTP. */
  | 'garbage'
  /** A 200 with a body as fast as the client reads, for ever. */
  | 'endless'
  /** A 200 whose body comes at one byte each 20 ms, for ever. */
  | 'slow';

export interface ScriptedAnswer {
  /** 200 by default. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface Received {
  readonly at: Date;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const tlsFile = (name: string) => readFileSync(new URL(`tls/${name}`, import.meta.url));

/** An address outside for hooks: answers by script and writes down each request. */
export class Receiver implements AsyncDisposable {
  /** Each request that was read to its end, in the order of arrival. */
  readonly ledger: Received[] = [];
  /** For each request without an answer in the script. */
  always: ScriptedAnswer | Mischief = {};
  /** Connections opened so far. */
  connections = 0;
  /** Bytes of endless bodies that were written to the system so far. */
  written = 0;
  readonly #script: (ScriptedAnswer | Mischief)[] = [];
  readonly #open = new Set<Socket>();
  readonly #server;
  readonly #scheme: string;

  private constructor(https: boolean) {
    this.#scheme = https ? 'https' : 'http';
    const take = (request: IncomingMessage, response: ServerResponse) => void this.#take(request, response);
    this.#server = https
      ? createTlsServer({ cert: tlsFile('cert.pem'), key: tlsFile('key.pem') }, take)
      : createServer(take);
    this.#server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#open.add(socket);
      socket.on('close', () => this.#open.delete(socket)).on('error', () => {});
      if (this.#next() === 'reset at once') {
        this.#script.shift();
        socket.resetAndDestroy();
      }
    });
  }

  /** @param options.https with the self-signed certificate of test/support/tls. */
  static async open(options: { https?: boolean; host?: string } = {}): Promise<Receiver> {
    const receiver = new Receiver(options.https ?? false);
    await new Promise<void>((resolve) => receiver.#server.listen(0, options.host ?? '127.0.0.1', resolve));
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `http://127.0.0.1:<port>`, or https. */
  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  /** Connections that are open now. */
  get openConnections(): number {
    return this.#open.size;
  }

  /** The answers to the next requests; then `always` applies again. */
  answer(...answers: (ScriptedAnswer | Mischief)[]): this {
    this.#script.push(...answers);
    return this;
  }

  /** Drops the answers that are left in the script. */
  forget(): void {
    this.#script.length = 0;
  }

  /** Resolves when this many requests have been read. */
  async received(count = 1): Promise<readonly Received[]> {
    return until(`${count} requests`, () => this.ledger.length >= count && this.ledger);
  }

  /** The ids of the deliveries, `webhook-id`, in the order of arrival. */
  get ids(): string[] {
    return this.ledger.map((it) => String(it.headers['webhook-id']));
  }

  #next(): ScriptedAnswer | Mischief {
    return this.#script[0] ?? this.always;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const { method = '', url = '', headers } = request;
    this.ledger.push({ at: new Date(), method, path: url, headers, body: Buffer.concat(chunks).toString() });
    const answer = this.#next();
    this.#script.shift();
    if (answer === 'silence') return;
    if (answer === 'reset' || answer === 'reset at once') socket.resetAndDestroy();
    else if (answer === 'garbage') socket.end('220 mail.example.com ESMTP at your service\r\n\0\xff\r\n\r\n');
    else if (answer === 'endless') this.#writeForEver(response);
    else if (answer === 'slow') {
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
    } else response.writeHead(answer.status ?? 200, { ...answer.headers }).end(answer.body ?? '');
  }

  #writeForEver(response: ServerResponse): void {
    const chunk = Buffer.alloc(65_536, 'x');
    const write = () => {
      while (!response.destroyed) {
        this.written += chunk.length;
        if (!response.write(chunk)) return;
      }
    };
    response
      .writeHead(200)
      .on('drain', write)
      .on('error', () => {});
    write();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
