import type { Middleware } from 'koa';
import { Problem } from '../../problems.ts';

/** Probes come by address, or by whatever name an orchestrator has for this machine. */
const openPaths = new Set(['/livez', '/readyz']);

/**
 * Refuses requests for names that are not ours, so that nobody else's name ever leads here (DNS rebinding, a
 * poisoned cache). Nothing is built from the name either way.
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

/** Node keeps the first of them, and what stands in front may have gone by another (RFC 9112 §3.2). */
function namesSeveralHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1;
}

/** What was found of the names that most ask for. The first ones are kept, so that nobody can make it grow. */
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

/** A request line may carry a whole address, whose host then counts (RFC 9112 §3.2.2); the header must do as well. */
function askedHosts(request: { url?: string | undefined; headers: { host?: string | undefined } }): string[] {
  if (request.url?.startsWith('/')) return [request.headers.host ?? ''];
  const target = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(request.url ?? '')?.[1];
  return [request.headers.host ?? '', ...(target === undefined ? [] : [target])];
}

/** The name alone, as the configuration has it: without port, brackets and the root's dot, in lower case. */
function hostName(host: string): string {
  const [, v6, name] = /^(?:\[([0-9a-f:.]+)\]|([^\s:@/\\?#[\]]+))(?::\d{0,5})?$/i.exec(host) ?? [];
  return (v6 ?? name ?? '').toLowerCase().replace(/\.$/, '');
}
