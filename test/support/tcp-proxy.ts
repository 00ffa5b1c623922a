import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What the proxy does with connections. `swallow`: keeps them open and drops every byte, as a dead network does. */
export type ProxyMode = 'pass' | 'swallow' | 'refuse';

/**
 * Where a connection to PostgreSQL is cut. `before`: the statement has not reached the server; `after`: the server has
 * done it, and its answer is lost.
 */
export type CutPoint = 'before' | 'after';

interface Cut {
  readonly point: CutPoint;
  readonly statement: string;
  readonly done: (deliver: () => void) => void;
}

/** What PostgreSQL's answer to a statement ends with, before the state of the transaction: ReadyForQuery. */
const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5]);

/** A TCP proxy in front of a server, to take the network away. */
export class TcpProxy implements AsyncDisposable {
  #mode: ProxyMode = 'pass';
  #cut: Cut | undefined;
  #awaited: { readonly statement: string; readonly seen: () => void } | undefined;
  readonly #pairs = new Set<[Socket, Socket]>();
  readonly #late = new Set<Socket>();
  readonly #server = createServer((client) => this.#connect(client));
  readonly #target: { host: string; port: number };

  private constructor(target: { host: string; port: number }) {
    this.#target = target;
  }

  /** In front of the server of a PostgreSQL address. */
  static async before(url: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(url);
    const proxy = new TcpProxy({ host: hostname, port: Number(port || 5432) });
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** The same address, through the proxy. */
  urlOf(url: string): string {
    const through = new URL(url);
    through.hostname = '127.0.0.1';
    through.port = String((this.#server.address() as AddressInfo).port);
    return through.href;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** From now on, for old connections and new ones. `refuse` ends the old ones. */
  set mode(mode: ProxyMode) {
    this.#mode = mode;
    if (mode === 'refuse') for (const [client] of this.#pairs) client.resetAndDestroy();
  }

  /**
   * Cuts the next connection on which this prepared statement is run (the beginning of its name will do).
   *
   * @returns when that is done: what hands the statement to the server late, as a network does that comes back.
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

  /** When a client next runs this prepared statement. A mode that is set then lets it through, and not its answer. */
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
    // Bytes that are swallowed once are gone: a connection that lost some stays silent for ever.
    let dead = false;
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
    const forward = (from: Socket, to: Socket) => {
      from.on('data', (bytes) => {
        if (from === client && this.#awaited && bytes.includes(this.#awaited.statement)) {
          this.#awaited.seen();
          this.#awaited = undefined;
        }
        cutIn(from, bytes);
        dead ||= this.#mode === 'swallow' || client.destroyed;
        if (!dead) to.write(bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        if (!this.#late.has(to)) to.destroy();
        this.#pairs.delete(pair);
      });
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
