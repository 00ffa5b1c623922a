import type { Middleware } from 'koa';
import { Problem } from '../problems.ts';

/** Probes come by address, or by whatever name an orchestrator has for this machine. */
const openPaths = new Set(['/livez', '/readyz']);

/**
 * Refuses requests for names that are not ours, so that nobody else's name ever leads here (DNS rebinding, a
 * poisoned cache). Nothing is built from the name either way.
 *
 * @throws {Problem} host-unknown
 */
export function refuseUnknownHosts(allowedHosts: readonly string[]): Middleware {
  const known = new Set(allowedHosts);
  return async (ctx, next) => {
    if (!openPaths.has(ctx.path) && !askedHosts(ctx.req).every((host) => known.has(hostName(host)))) {
      throw new Problem('host-unknown', 'this server does not answer to that name; see ALLOWED_HOSTS');
    }
    await next();
  };
}

/** A request line may carry a whole address, whose host then counts (RFC 9112 §3.2.2); the header must do as well. */
function askedHosts(request: { url?: string | undefined; headers: { host?: string | undefined } }): string[] {
  const target = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(request.url ?? '')?.[1];
  return [request.headers.host ?? '', ...(target === undefined ? [] : [target])];
}

/** The name alone, as the configuration has it: without port, brackets and the root's dot, in lower case. */
function hostName(host: string): string {
  const [, v6, name] = /^(?:\[([0-9a-f:.]+)\]|([^\s:@/\\?#[\]]+))(?::\d{0,5})?$/i.exec(host) ?? [];
  return (v6 ?? name ?? '').toLowerCase().replace(/\.$/, '');
}
