import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('tls/', import.meta.url));
const certificateFile = join(folder, 'cert.pem');
const key = readFileSync(join(folder, 'key.pem'), 'utf8');

/** How the proxy answers a client that asks for TLS. `garbage` accepts and then speaks something else. */
export type TlsMode = 'good' | 'none' | 'garbage' | 'expired';

/** PostgreSQL with TLS: it ends the encryption in front of a server that has none. */
export class TlsProxy implements AsyncDisposable {
  mode: TlsMode = 'good';
  readonly #clients = new Set<Socket>();
  readonly #server = createServer((client) => this.#accept(client));
  readonly #target: URL;

  private constructor(url: string) {
    this.#target = new URL(url);
  }

  static async before(url: string): Promise<TlsProxy> {
    const proxy = new TlsProxy(url);
    await new Promise<void>((resolve) => proxy.#server.listen(0, resolve));
    return proxy;
  }

  /** The same URL through the proxy. The proxy's own certificate is for localhost, and signed by itself. */
  urlOf(sslmode: string, root: string | null = certificateFile, host = 'localhost'): string {
    const url = new URL(this.#target);
    url.hostname = host;
    url.port = String((this.#server.address() as AddressInfo).port);
    url.searchParams.set('sslmode', sslmode);
    if (root !== null) url.searchParams.set('sslrootcert', root);
    return url.href;
  }

  cut(): void {
    for (const client of this.#clients) client.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    this.#clients.add(client);
    client.on('error', () => {}).on('close', () => this.#clients.delete(client));
    client.once('data', () => {
      const { mode } = this;
      client.write(mode === 'none' ? 'N' : 'S');
      if (mode === 'none') return;
      if (mode === 'garbage') {
        client.once('data', () => client.end('this is not TLS'));
        return;
      }
      const cert = readFileSync(mode === 'good' ? certificateFile : join(folder, 'expired.pem'));
      const secure = new TLSSocket(client, { isServer: true, key, cert });
      const target = connect(Number(this.#target.port || 5432), this.#target.hostname);
      target.on('error', () => secure.destroy()).on('close', () => secure.destroy());
      secure.on('error', () => target.destroy()).on('close', () => target.destroy());
      secure.pipe(target).pipe(secure);
    });
  }
}
