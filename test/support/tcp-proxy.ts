import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * What the proxy does with connections. `swallow`: keeps them open and drops every byte, as a dead network does;
 * `mute`: only what the server answers.
 */
export type ProxyMode = 'pass' | 'swallow' | 'mute' | 'refuse';

/** A TCP proxy in front of a server, to take the network away. */
export class TcpProxy implements AsyncDisposable {
  #mode: ProxyMode = 'pass';
  readonly #pairs = new Set<[Socket, Socket]>();
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
    let isMute = false;
    const forward = (from: Socket, to: Socket) => {
      from.on('data', (bytes) => {
        dead ||= this.#mode === 'swallow';
        isMute ||= this.#mode === 'mute' && from === target;
        if (!dead && !(isMute && from === target)) to.write(bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
    };
    forward(client, target);
    forward(target, client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [client] of this.#pairs) client.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
