import type { Middleware } from 'koa';
import { Problem } from '../problems.ts';
import type { KeyScope } from '../services/api-keys.ts';
import { admitKey } from '../services/api-keys.ts';
import { KeyQuota } from './key-quota.ts';
import type { RequestState } from './request-scope.ts';

/** Makes middlewares that let in only who has a key with a scope, and not too often. */
export function keysFor(): (wanted: KeyScope) => Middleware<RequestState> {
  const quota = new KeyQuota();
  return (wanted) => async (ctx, next) => {
    // Taken back below: only a refusal names it (RFC 9110 §11.6.1).
    ctx.set('WWW-Authenticate', 'Bearer realm="ruffinweb"');
    const token = /^Bearer +(\S+)$/i.exec(ctx.get('Authorization'))?.[1];
    const admission = await admitKey(ctx.state.scope, token, wanted);
    ctx.remove('WWW-Authenticate');
    const waitSeconds = quota.take(admission.keyId);
    if (waitSeconds > 0) {
      ctx.set('Retry-After', String(waitSeconds));
      throw new Problem('rate-limited', `this API key has made too many requests; wait ${waitSeconds} s`);
    }
    ctx.state.admission = admission;
    await next();
  };
}
