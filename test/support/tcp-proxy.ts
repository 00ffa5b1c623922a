import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** How the proxy treats connections. `swallow`: keeps them open and drops every byte, like a dead network. */
export type ProxyMode = 'pass' | 'swallow' | 'refuse';

/**
 * Where a connection to PostgreSQL is cut. `before`: the statement has not reached the server. `after`: the server has
 * executed it, and its response is lost.
 */
export type CutPoint = 'before' | 'after';

interface Cut {
  readonly point: CutPoint;
  readonly statement: string;
  readonly done: (deliver: () => void) => void;
}

/** How an answer gets lost: the connection is cut in its place, or falls silent. */
export type Loss = 'cut' | 'drop';

/** ReadyForQuery: the end of PostgreSQL's response to a statement, before the transaction state. */
const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5]);

/** A TCP proxy in front of a server, to simulate network failures. */
export class TcpProxy implements AsyncDisposable {
  #mode: ProxyMode = 'pass';
  #cut: Cut | undefined;
  #loss: { readonly how: Loss; left: number } | undefined;
  #answers = 0;
  #awaited: { readonly statement: string; readonly seen: () => void } | undefined;
  readonly #pairs = new Set<[Socket, Socket]>();
  readonly #late = new Set<Socket>();
  /** Connections that lost bytes: they stay silent. */
  readonly #dead = new Set<Socket>();
  /** For how long an answer is held back from now on, in milliseconds. */
  delayMs: () => number = () => 0;
  readonly #server = createServer((client) => this.#connect(client));
  readonly #target: { host: string; port: number };

  private constructor(target: { host: string; port: number }) {
    this.#target = target;
  }

  /** In front of the server of a PostgreSQL URL. */
  static async before(url: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(url);
    const proxy = new TcpProxy({ host: hostname, port: Number(port || 5432) });
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** The same URL, through the proxy. */
  urlOf(url: string): string {
    const through = new URL(url);
    through.hostname = '127.0.0.1';
    through.port = String((this.#server.address() as AddressInfo).port);
    return through.href;
  }

  /** How many answers the server has given, also to connecting. */
  get answers(): number {
    return this.#answers;
  }

  /** From now on, the server's nth answer is lost, on whichever connection. */
  loseAnswer(nth: number, how: Loss): void {
    this.#loss = { how, left: nth };
  }

  get hasLostAnswer(): boolean {
    return this.#loss?.left === 0;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Applies to old and new connections. `refuse` closes the old ones. */
  set mode(mode: ProxyMode) {
    this.#mode = mode;
    if (mode === 'refuse') for (const [client] of this.#pairs) client.resetAndDestroy();
  }

  /** Some of the open connections fall silent for ever, while both ends believe that they are open. */
  silence(isChosen: () => boolean): void {
    for (const [client] of this.#pairs) if (isChosen()) this.#dead.add(client);
  }

  /**
   * Cuts the next connection that runs this prepared statement (the beginning of its name is enough).
   *
   * @returns when it is cut: a function that delivers the statement late, like a network that recovers.
   */
  cutAt(point: CutPoint, statement: string): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`waited in vain for ${statement}`)), 30_000);
      const done = (deliver: () => void) => {
        clearTimeout(late);
        resolve(deliver);
      };
      this.#cut = { point, statement, done };
    });
  }

  /** Resolves when a client next runs this prepared statement. A mode set then lets it pass but drops its response. */
  reached(statement: string): Promise<void> {
    return new Promise((resolve) => {
      this.#awaited = { statement, seen: resolve };
    });
  }

  #connect(client: Socket): void {
    if (this.#mode === 'refuse') {
      client.resetAndDestroy();
      return;
    }
    const target = connect(this.#target);
    const pair: [Socket, Socket] = [client, target];
    this.#pairs.add(pair);
    let cut: Cut | undefined;
    const cutIn = (from: Socket, bytes: Buffer) => {
      if (from === client && this.#cut && bytes.includes(this.#cut.statement)) {
        cut = this.#cut;
        this.#cut = undefined;
      }
      const isDue = cut?.point === 'before' ? from === client : bytes.subarray(-6, -1).equals(readyForQuery);
      if (cut === undefined || !isDue) return;
      if (cut.point === 'before') this.#late.add(target);
      client.resetAndDestroy();
      cut.done(() => target.end(bytes));
    };
    const loseIn = (from: Socket, bytes: Buffer) => {
      if (from !== target || !bytes.subarray(-6, -1).equals(readyForQuery)) return;
      this.#answers += 1;
      if (this.#loss === undefined || this.#loss.left === 0 || --this.#loss.left > 0) return;
      if (this.#loss.how === 'cut') client.resetAndDestroy();
      else this.#dead.add(client);
    };
    const forward = (from: Socket, to: Socket) => {
      from.on('data', (bytes) => {
        if (from === client && this.#awaited && bytes.includes(this.#awaited.statement)) {
          this.#awaited.seen();
          this.#awaited = undefined;
        }
        cutIn(from, bytes);
        loseIn(from, bytes);
        // Swallowed bytes are gone: a connection that lost some stays silent.
        if (this.#mode === 'swallow' || client.destroyed) this.#dead.add(client);
        if (!this.#dead.has(client)) write(to, bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        if (!this.#late.has(to)) to.destroy();
        this.#pairs.delete(pair);
        this.#dead.delete(client);
      });
    };
    let lastAt = 0;
    let held = Promise.resolve();
    const write = (to: Socket, bytes: Buffer) => {
      if (to !== client) return void to.write(bytes);
      // In their order, even if a later one would be held back for a shorter time.
      lastAt = Math.max(lastAt, performance.now() + this.delayMs());
      const leftMs = lastAt - performance.now();
      if (leftMs <= 0) return void to.write(bytes);
      held = Promise.all([held, pause(leftMs)]).then(() => void to.write(bytes));
    };
    forward(client, target);
    forward(target, client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [client] of this.#pairs) client.destroy();
    for (const target of this.#late) target.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
