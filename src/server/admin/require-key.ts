import type { Context, Middleware } from 'koa';
import type { RateLimit } from '../../config/config.ts';
import { networkOf } from '../../ip-network.ts';
import { Problem } from '../../problems.ts';
import { type Admission, admitKey, requireScope } from '../../services/api-keys/api-keys.ts';
import { handleOfKey, hashKey } from '../../services/api-keys/key-text.ts';
import type { KeyScope } from '../../words.ts';
import type { RequestState } from '../http/request-scope.ts';
import { secondsToWait } from '../limits/limit-clients.ts';
import { CappedMap, type Place, Quota } from '../limits/quotas.ts';
import type { SharedCounts } from '../limits/shared-counts.ts';

type RequestContext = Context & { state: RequestState };

/** Requests per API key. */
const keyLimit: RateLimit = { posts: 300, windowMs: 60_000 };

/** Operators make the keys, so there are never nearly as many. */
const maxKeys = 10_000;

/** Max clients whose wrong keys are counted. A new client then replaces the oldest one. */
const maxClients = 20_000;

/** Requests with a wrong API key per client and server. Each one costs a query. */
const wrongKeyLimit: RateLimit = { posts: 60, windowMs: 60_000 };

/** Makes middleware that admits requests with a valid key of the wanted scope, up to `keyLimit`. */
export function keysFor(shared?: SharedCounts): (wanted: KeyScope) => Middleware<RequestState> {
  const quota = new Quota(keyLimit, maxKeys);
  const admit = createAdmission();
  return (wanted) => async (ctx, next) => {
    // Removed again if the key is good: only a 401 needs it (RFC 9110 §11.6.1).
    ctx.set('WWW-Authenticate', 'Bearer realm="ruffinweb"');
    const admission = await admit(ctx);
    // Requests without the scope count too: they cost as much.
    const place = (await shared?.take('key', admission.keyId, keyLimit)) ?? quota.take(admission.keyId);
    if (!place.taken) refuse(ctx, place, 'this API key has made too many requests');
    requireScope(admission, wanted);
    ctx.remove('WWW-Authenticate');
    ctx.state.admission = admission;
    await next();
  };
}

/** Admits keys, and after `wrongKeyLimit` wrong ones only keys that were good before. */
function createAdmission(): (ctx: RequestContext) => Promise<Admission> {
  const quota = new Quota(wrongKeyLimit, maxClients);
  const good = new CappedMap<string, true>(maxKeys);
  return async (ctx) => {
    const token = /^Bearer +(\S+)$/i.exec(ctx.get('Authorization'))?.[1];
    const { scope, clientAddress } = ctx.state;
    if (token === undefined) return await admitKey(scope, token);
    const hash = hashKey(token).toString('base64');
    const place = good.has(hash) ? undefined : quota.take(networkOf(clientAddress));
    if (place?.taken === false) refuse(ctx, place, 'too many wrong API keys came from your address');
    try {
      const admission = await admitKey(scope, token);
      if (place !== undefined) good.set(hash, true);
      place?.giveBack();
      return admission;
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'key-required')) place?.giveBack();
      else {
        good.delete(hash);
        const handle = handleOfKey(token);
        scope.log.warn({ client: clientAddress, ...(handle && { key: `rw_${handle}` }) }, 'wrong API key');
      }
      throw error;
    }
  };
}

function refuse(ctx: RequestContext, { leftMs }: Pick<Place, 'leftMs'>, what: string): never {
  const waitSeconds = secondsToWait(leftMs);
  ctx.remove('WWW-Authenticate');
  ctx.set('Retry-After', String(waitSeconds));
  throw new Problem('rate-limited', `${what}; wait ${waitSeconds} s`);
}
