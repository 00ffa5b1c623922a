import type { Middleware } from 'koa';
import type { RateLimit } from '../../config/config.ts';
import { Problem } from '../../problems.ts';
import { admitKey, requireScope } from '../../services/api-keys/api-keys.ts';
import type { KeyScope } from '../../words.ts';
import type { RequestState } from '../http/request-scope.ts';
import { secondsToWait } from '../limits/limit-clients.ts';
import { Quota } from '../limits/quotas.ts';
import type { SharedCounts } from '../limits/shared-counts.ts';

/** Requests per API key. */
const keyLimit: RateLimit = { posts: 300, windowMs: 60_000 };

/** Operators make the keys, so there are never nearly as many. */
const maxKeys = 10_000;

/** Makes middleware that admits requests with a valid key of the wanted scope, up to `keyLimit`. */
export function keysFor(shared?: SharedCounts): (wanted: KeyScope) => Middleware<RequestState> {
  const quota = new Quota(keyLimit, maxKeys);
  return (wanted) => async (ctx, next) => {
    // Removed again if the key is good: only a 401 needs it (RFC 9110 §11.6.1).
    ctx.set('WWW-Authenticate', 'Bearer realm="ruffinweb"');
    const token = /^Bearer +(\S+)$/i.exec(ctx.get('Authorization'))?.[1];
    const admission = await admitKey(ctx.state.scope, token);
    // Requests without the scope count too: they cost as much.
    const place = (await shared?.take('key', admission.keyId, keyLimit)) ?? quota.take(admission.keyId);
    if (!place.taken) {
      const waitSeconds = secondsToWait(place.leftMs);
      ctx.remove('WWW-Authenticate');
      ctx.set('Retry-After', String(waitSeconds));
      throw new Problem('rate-limited', `this API key has made too many requests; wait ${waitSeconds} s`);
    }
    requireScope(admission, wanted);
    ctx.remove('WWW-Authenticate');
    ctx.state.admission = admission;
    await next();
  };
}
