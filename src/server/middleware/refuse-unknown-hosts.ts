import type { Middleware } from 'koa';
import { Problem } from '../../problems.ts';

/** Health probes may use an address or an orchestrator's name for this machine, and must not wait for the database. */
export function isProbe(path: string): boolean {
  return path === '/livez' || path === '/readyz';
}

/**
 * Refuses requests for host names that are not ours (DNS rebinding, poisoned caches). Links are never built from the
 * requested name.
 *
 * @throws {Problem} host-repeated, host-unknown
 */
export function refuseUnknownHosts(allowedHosts: readonly string[]): Middleware {
  const known = new Set(allowedHosts);
  return (ctx, next) => {
    if (namesSeveralHosts(ctx.req.rawHeaders)) {
      throw new Problem('host-repeated', 'a request must have one Host header');
    }
    if (!isProbe(ctx.path) && !askedHosts(ctx.req).every((host) => known.has(hostName(host)))) {
      throw new Problem('host-unknown', 'this server does not answer to that name; see ALLOWED_HOSTS');
    }
    return next();
  };
}

/** Node uses the first Host header, but a proxy may have used another one (RFC 9112 §3.2). */
function namesSeveralHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1;
}

/** A request line may contain a full URL, which overrides the header (RFC 9112 §3.2.2). Both names must be ours. */
function askedHosts(request: { url?: string | undefined; headers: { host?: string | undefined } }): string[] {
  if (request.url?.startsWith('/')) return [request.headers.host ?? ''];
  const target = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(request.url ?? '')?.[1];
  return [request.headers.host ?? '', ...(target === undefined ? [] : [target])];
}

/** As in the configuration: lower case, without port, brackets and final dot. */
function hostName(host: string): string {
  const [, v6, name] = /^(?:\[([0-9a-f:.]+)\]|([^\s:@/\\?#[\]]+))(?::\d{0,5})?$/i.exec(host) ?? [];
  return (v6 ?? name ?? '').toLowerCase().replace(/\.$/, '');
}
