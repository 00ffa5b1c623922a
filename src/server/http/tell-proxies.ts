import type { Context as KoaContext } from 'koa';
import type { Context } from '../../context.ts';
import {
  inventedAddress,
  isProbe,
  type ProxiesSeen,
  probeHeader,
  proxiesHeader,
} from '../../services/health/proxy-probe.ts';
import { isLoopback, readIp } from './client-address.ts';
import type { RequestState } from './request-scope.ts';

/** Tells `health --deep`, and nobody else, by how many proxies its request came. */
export function tellProxies(ctx: KoaContext & { state: RequestState }, context: Context): void {
  const probe = ctx.get(probeHeader);
  if (probe === '' || !isProbe(context.keyring, probe, context.now())) return;
  const header = ctx.get('X-Forwarded-For');
  const forwarded = header === '' ? [] : header.split(',').map(readIp);
  const seen: ProxiesSeen = {
    // A proxy that starts the list anew leaves out what the client wrote.
    added: forwarded.length - (forwarded[0] === inventedAddress ? 1 : 0),
    trusted: context.config.trustProxy,
    believed: ctx.state.clientAddress === inventedAddress,
    local: isLoopback(ctx.req.socket.remoteAddress),
  };
  ctx.set(proxiesHeader, JSON.stringify(seen));
}
