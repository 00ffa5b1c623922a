import type { Context, Middleware } from 'koa';
import type { RateLimit } from '../../config/config.ts';
import { networkOf } from '../../network/ip-network.ts';
import { Problem } from '../../problems.ts';
import { type Admission, admitKey, readKeyHashes, requireScope } from '../../services/api-keys/api-keys.ts';
import { handleOfKey, hashKey } from '../../services/api-keys/key-text.ts';
import type { Scope } from '../../services/scope.ts';
import type { KeyScope } from '../../words.ts';
import type { RequestState } from '../http/request-scope.ts';
import { secondsToWait } from '../limits/limit-clients.ts';
import { type Place, Quota } from '../limits/quotas.ts';
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

/** A new key may have to wait this long if wrong ones come from its address. */
const listAgeMs = 5000;

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

/** Admits keys. After `wrongKeyLimit` wrong ones it looks at the list first, so that a good key still passes. */
function createAdmission(): (ctx: RequestContext) => Promise<Admission> {
  const quota = new Quota(wrongKeyLimit, maxClients);
  const isGood = createKeyList();
  return async (ctx) => {
    const token = /^Bearer +(\S+)$/i.exec(ctx.get('Authorization'))?.[1];
    const { scope, clientAddress } = ctx.state;
    if (token === undefined) return await admitKey(scope, token);
    const place = quota.take(networkOf(clientAddress));
    if (!place.taken && !(await isGood(scope, token)))
      refuse(ctx, place, 'too many wrong API keys came from your address');
    try {
      const admission = await admitKey(scope, token);
      place.giveBack();
      return admission;
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'key-required')) place.giveBack();
      else {
        const handle = handleOfKey(token);
        scope.log.warn({ client: clientAddress, ...(handle && { key: `rw_${handle}` }) }, 'wrong API key');
      }
      throw error;
    }
  };
}

/** Whether a key is good, by a list that is read every `listAgeMs`: asking costs no query. */
function createKeyList(): (scope: Scope, token: string) => Promise<boolean> {
  let list: Promise<ReadonlySet<string>> | undefined;
  let readAt = 0;
  return async (scope, token) => {
    if (list === undefined || performance.now() - readAt > listAgeMs) {
      readAt = performance.now();
      list = readKeyHashes(scope);
      list.catch(() => {
        list = undefined;
      });
    }
    return (await list).has(hashKey(token).toString('hex'));
  };
}

function refuse(ctx: RequestContext, { leftMs }: Pick<Place, 'leftMs'>, what: string): never {
  const waitSeconds = secondsToWait(leftMs);
  ctx.remove('WWW-Authenticate');
  ctx.set('Retry-After', String(waitSeconds));
  throw new Problem('rate-limited', `${what}; wait ${waitSeconds} s`);
}
