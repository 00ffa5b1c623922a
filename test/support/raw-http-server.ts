import { type AddressInfo, createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { SmtpServer } from './smtp-server.ts';

/** Bytes, as one character each, that answer a request, well formed or not. */
export interface RawAnswer {
  readonly bytes: string;
  /** Written in pieces that end at these places. */
  readonly cuts?: readonly number[];
  /** `flood`: `more` again and again until the client hangs up. `drip`: the same, slowly. `hold`: nothing more. */
  readonly after: 'end' | 'reset' | 'hold' | 'flood' | 'drip';
  readonly more?: string;
  /** Answers before it has read the request. */
  readonly isEarly?: boolean;
}

const { credentials } = new SmtpServer({});

/** A client that takes so much of a flood reads everything. */
export const floodBytes = 40_000_000;

/** An HTTP or HTTPS server that answers with any bytes, and keeps a ledger. */
export class RawHttpServer implements AsyncDisposable {
  readonly isSecure: boolean;
  answer: RawAnswer = { bytes: '', after: 'end' };
  /** The requests that came to their blank line. */
  readonly requests: string[] = [];
  connections = 0;
  /** Most bytes that one client took of a flood. */
  flooded = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((plain) => {
    this.connections += 1;
    this.#sockets.add(plain.on('error', () => {}).on('close', () => this.#sockets.delete(plain)));
    plain.setNoDelay(true);
    const socket = this.isSecure ? new TLSSocket(plain, { isServer: true, ...credentials }) : plain;
    let input = '';
    const { answer } = this;
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        const isFirst = input === '';
        const wasWhole = input.includes('\r\n\r\n');
        input += chunk.toString('latin1');
        const isWhole = !wasWhole && input.includes('\r\n\r\n');
        if (isWhole) this.requests.push(input);
        if (answer.isEarly ? isFirst : isWhole) void this.#say(socket, plain, answer);
      });
  });

  private constructor(isSecure: boolean) {
    this.isSecure = isSecure;
  }

  static async open(isSecure = false): Promise<RawHttpServer> {
    const server = new RawHttpServer(isSecure);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `${this.isSecure ? 'https' : 'http'}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  async #say(socket: Socket, plain: Socket, { bytes, cuts = [], after, more = 'x' }: RawAnswer): Promise<void> {
    const places = [...new Set([0, ...cuts.map((it) => it % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
    for (const [index, from] of places.slice(0, -1).entries()) {
      if (index > 0) await new Promise((resolve) => setImmediate(resolve));
      if (!socket.destroyed) socket.write(bytes.slice(from, places[index + 1]), 'latin1');
    }
    if (after === 'end') socket.end();
    if (after === 'reset')
      setImmediate(() => {
        // A TLS socket does not let the one below it close.
        if (!plain.destroyed) plain.resetAndDestroy();
        socket.destroy();
        this.#sockets.delete(plain);
      });
    if (after === 'flood') this.#flood(socket, more);
    if (after === 'drip') {
      const timer = setInterval(() => socket.write(more, 'latin1'), 20);
      plain.on('close', () => clearInterval(timer));
    }
  }

  #flood(socket: Socket, more: string): void {
    const piece = Buffer.from(more.repeat(Math.ceil(65_536 / more.length)), 'latin1');
    let written = 0;
    const write = () => {
      while (!socket.destroyed && written < floodBytes) {
        written += piece.length;
        this.flooded = Math.max(this.flooded, written);
        if (!socket.write(piece)) return;
      }
    };
    socket.on('drain', write);
    write();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
