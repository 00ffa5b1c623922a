import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Ledger } from './ledger.ts';

/** A delivery that the receiver has taken. */
export interface TakenDelivery {
  at: number;
  /** The `webhook-id`, which is the id of the delivery. */
  id: string;
  hash: string;
  /** The message that its body names. */
  messageId?: string;
}

/** `connected`; `read`: not yet in the ledger; `written`: in the ledger, without an answer; `answered`. */
export type HookStep = 'connected' | 'read' | 'written' | 'answered';

/** A receiver of webhooks that writes each delivery into its ledger before it answers 200. */
export class HookSink implements AsyncDisposable {
  readonly ledger: Ledger<TakenDelivery>;
  /** Another status than 200: nothing is written then. */
  status = 200;
  /** Reads, writes nothing and never answers. */
  isSilent = false;
  #awaited: { step: HookStep; arrive: (goOn: () => void) => void } | undefined;
  readonly #server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('error', () => {});
    request.on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', async () => {
      if (this.isSilent) return;
      const id = String(request.headers['webhook-id']);
      await this.#reached('read');
      const hash = createHash('sha256').update(body).digest('hex');
      const messageId = /"messageId":\s*"([^"]+)"/.exec(body)?.[1];
      if (this.status === 200) this.ledger.write({ at: Date.now(), id, hash, ...(messageId && { messageId }) });
      await this.#reached('written');
      response.writeHead(this.status).end(() => void this.#reached('answered'));
    });
  }).on('connection', () => void this.#reached('connected'));

  private constructor(path: string) {
    this.ledger = new Ledger(path);
  }

  static async open(path: string): Promise<HookSink> {
    const sink = new HookSink(path);
    await new Promise<void>((resolve) => sink.#server.listen(0, '127.0.0.1', resolve));
    return sink;
  }

  /** Waits until a request is at this step, and holds it there. @returns lets it go on. */
  hold(step: HookStep): Promise<() => void> {
    return new Promise((resolve) => {
      this.#awaited = { step, arrive: resolve };
    });
  }

  async #reached(step: HookStep): Promise<void> {
    const awaited = this.#awaited;
    if (awaited?.step !== step) return;
    this.#awaited = undefined;
    await new Promise<void>((resolve) => awaited.arrive(resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.ledger[Symbol.dispose]();
  }
}
