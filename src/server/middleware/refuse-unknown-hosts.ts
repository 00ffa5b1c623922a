import type { Middleware } from 'koa';
import { Problem } from '../../problems.ts';

/** Health probes use an address or an orchestrator's own name for this machine. */
const openPaths = new Set(['/livez', '/readyz']);

/**
 * Refuses requests for host names that are not ours (DNS rebinding, poisoned caches). Links are never built from the
 * requested name.
 *
 * @throws {Problem} host-repeated, host-unknown
 */
export function refuseUnknownHosts(allowedHosts: readonly string[]): Middleware {
  const known = new Set(allowedHosts);
  const isKnown = remember((host) => known.has(hostName(host)));
  return (ctx, next) => {
    if (namesSeveralHosts(ctx.req.rawHeaders)) {
      throw new Problem('host-repeated', 'a request has one Host header');
    }
    if (!openPaths.has(ctx.path) && !askedHosts(ctx.req).every(isKnown)) {
      throw new Problem('host-unknown', 'this server does not answer to that name; see ALLOWED_HOSTS');
    }
    return next();
  };
}

/** Node uses the first Host header, but a proxy in front may have used another one (RFC 9112 §3.2). */
function namesSeveralHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1;
}

/** Caches the result for the first hundred names, so that no client can make the cache grow. */
function remember(find: (host: string) => boolean): (host: string) => boolean {
  const found = new Map<string, boolean>();
  return (host) => {
    const before = found.get(host);
    if (before !== undefined) return before;
    const now = find(host);
    if (found.size < 100) found.set(host, now);
    return now;
  };
}

/** A request line may contain a whole URL, whose host then counts (RFC 9112 §3.2.2). Both names must be ours. */
function askedHosts(request: { url?: string | undefined; headers: { host?: string | undefined } }): string[] {
  if (request.url?.startsWith('/')) return [request.headers.host ?? ''];
  const target = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(request.url ?? '')?.[1];
  return [request.headers.host ?? '', ...(target === undefined ? [] : [target])];
}

/** The name as in the configuration: lower case, without port, brackets and final dot. */
function hostName(host: string): string {
  const [, v6, name] = /^(?:\[([0-9a-f:.]+)\]|([^\s:@/\\?#[\]]+))(?::\d{0,5})?$/i.exec(host) ?? [];
  return (v6 ?? name ?? '').toLowerCase().replace(/\.$/, '');
}
