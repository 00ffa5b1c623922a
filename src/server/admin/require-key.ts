import type { Middleware } from 'koa';
import { Problem } from '../../problems.ts';
import { admitKey, requireScope } from '../../services/api-keys/api-keys.ts';
import type { KeyScope } from '../../words.ts';
import type { RequestState } from '../http/request-scope.ts';
import { keyLimit, maxKeys, Quota } from '../limits/quotas.ts';
import type { SharedCounts } from '../limits/shared-counts.ts';

/** Makes middlewares that let in only who has a key with a scope, and not too often. */
export function keysFor(shared?: SharedCounts): (wanted: KeyScope) => Middleware<RequestState> {
  const quota = new Quota(keyLimit, maxKeys);
  return (wanted) => async (ctx, next) => {
    // Taken back below: only a refusal names it (RFC 9110 §11.6.1).
    ctx.set('WWW-Authenticate', 'Bearer realm="ruffinweb"');
    const token = /^Bearer +(\S+)$/i.exec(ctx.get('Authorization'))?.[1];
    const admission = await admitKey(ctx.state.scope, token);
    // Forbidden requests count as well: to find that out costs the same.
    const place = (await shared?.take('key', admission.keyId, keyLimit)) ?? quota.take(admission.keyId);
    if (!place.taken) {
      const waitSeconds = Math.max(1, Math.ceil(place.leftMs / 1000));
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
