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
}

/** A receiver of webhooks that writes each delivery into its ledger before it answers 200. */
export class HookSink implements AsyncDisposable {
  readonly ledger: Ledger<TakenDelivery>;
  /** Another status than 200: nothing is written then. */
  status = 200;
  /** Reads, writes nothing and never answers. */
  isSilent = false;
  readonly #server = createServer((request, response) => {
    const hash = createHash('sha256');
    request.on('error', () => {});
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => {
      if (this.isSilent) return;
      const id = String(request.headers['webhook-id']);
      if (this.status === 200) this.ledger.write({ at: Date.now(), id, hash: hash.digest('hex') });
      response.writeHead(this.status).end();
    });
  });

  private constructor(path: string) {
    this.ledger = new Ledger(path);
  }

  static async open(path: string): Promise<HookSink> {
    const sink = new HookSink(path);
    await new Promise<void>((resolve) => sink.#server.listen(0, '127.0.0.1', resolve));
    return sink;
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
