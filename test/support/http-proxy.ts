import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What it does with `X-Forwarded-For`: appends the client, as it should; replaces it; passes it on; or removes it. */
export type Forwarding = 'adds' | 'replaces' | 'passes' | 'drops';

/** A reverse proxy in front of a server, like nginx. */
export interface HttpProxy extends AsyncDisposable {
  readonly url: string;
  /** Where requests go from now on. */
  target: string;
  forwarding: Forwarding;
}

export async function openHttpProxy(target = '', forwarding: Forwarding = 'adds'): Promise<HttpProxy> {
  const server = createServer((incoming, outgoing) => {
    const seen = incoming.socket.remoteAddress ?? '';
    const before = [incoming.headers['x-forwarded-for'] ?? []].flat();
    const forwarded = { adds: [...before, seen], replaces: [seen], passes: before, drops: [] }[proxy.forwarding];
    const { 'x-forwarded-for': _, ...others } = incoming.headers;
    const headers = { ...others, ...(forwarded.length > 0 && { 'x-forwarded-for': forwarded.join(', ') }) };
    const onward = request(proxy.target + (incoming.url ?? ''), { method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.writeHead(502).end());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    target,
    forwarding,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
