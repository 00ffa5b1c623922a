import { setTimeout as pause } from 'node:timers/promises';
import cors from '@koa/cors';
import type Router from '@koa/router';
import type { Context as KoaContext, Middleware } from 'koa';
import type { Context } from '../../context.ts';
import { Problem } from '../../problems.ts';
import { listFormOrigins } from '../../services/forms/forms.ts';
import { isAllowedByEnvironment } from '../../services/forms/origins.ts';
import { openScope } from '../../services/scope.ts';
import type { RequestState } from '../http/request-scope.ts';
import { allowedMethods, judgePreflight } from './preflight.ts';
import { isProbe } from './refuse-unknown-hosts.ts';

/** How long the origins of forms are cached, so that requests cannot cause many queries. */
const cachedMs = 1000;

/** Max wait for that query. A request waits for an absent database again when it is stored. */
const maxWaitMs = 300;

/** How long browsers may cache the answer to a preflight, in seconds. */
const maxAge = 600;

/**
 * CORS: lets pages read our answers, including refusals, if the environment or a form allows their origin. Whether a page
 * may *post* is decided by the form (`refuseForeignOrigin`), because CORS would hide the answer but store the message.
 *
 * @param routes finds the route of a preflight, for the log.
 */
export function allowOrigins(context: Context, routes: Router<RequestState>): Middleware<RequestState> {
  const formOrigins = cacheFormOrigins(context);
  const answerOrigins = cors({
    async origin(ctx) {
      const origin = ctx.get('Origin');
      // Health probes must not wait for the database.
      if (origin === '' || origin === 'null' || isProbe(ctx.path)) return '';
      return isAllowedByEnvironment(context.config, origin) || (await formOrigins()).has(origin) ? origin : '';
    },
    allowMethods: [...allowedMethods],
    exposeHeaders: [
      'X-Request-Id',
      'Retry-After',
      'RateLimit',
      'RateLimit-Policy',
      'X-RateLimit-Limit',
      'X-RateLimit-Remaining',
      'X-RateLimit-Reset',
    ],
    maxAge,
    credentials: false,
    // `answerProblems` answers errors and keeps the headers that are set.
    keepHeadersOnError: false,
  });
  const answerPreflight: Middleware<RequestState> = async (ctx) => {
    const method = ctx.get('Access-Control-Request-Method');
    const { path, pathAndMethod } = routes.match(ctx.path, method);
    const preflight = { route: String((pathAndMethod.at(-1) ?? path.at(-1))?.path ?? '-'), refused: [] as string[] };
    ctx.state.preflight = preflight;
    await answerOrigins(ctx, refuseOrigin);
    const { headers, refused } = judgePreflight(method, ctx.get('Access-Control-Request-Headers'));
    preflight.refused = refused;
    ctx.vary('Access-Control-Request-Headers');
    if (headers.length > 0) ctx.set('Access-Control-Allow-Headers', headers.join(','));
    else ctx.remove('Access-Control-Allow-Headers');
  };
  return (ctx, next) => {
    if (ctx.headers.origin !== undefined && !isMailbox(ctx.path)) {
      return isPreflight(ctx) ? answerPreflight(ctx, next) : answerOrigins(ctx, next);
    }
    // A cache must not give a page the answer to a program, which sends no origin.
    ctx.set('Vary', 'Origin');
    return next();
  };
}

function isPreflight(ctx: KoaContext): boolean {
  return ctx.method === 'OPTIONS' && ctx.get('Access-Control-Request-Method') !== '';
}

/** `@koa/cors` calls this for a preflight only if its origin is not allowed. A problem is logged. */
async function refuseOrigin(): Promise<void> {
  throw new Problem('origin-refused', 'no form accepts posts from pages of this origin; see ALLOWED_ORIGINS');
}

/** Returns the last known origins if the database is away or slow. */
function cacheFormOrigins(context: Context): () => Promise<ReadonlySet<string>> {
  let known: ReadonlySet<string> = new Set();
  let asking: Promise<void> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  const ask = async () => {
    known = await listFormOrigins(openScope(context));
  };
  return async () => {
    if (performance.now() - askedAt >= cachedMs) {
      askedAt = performance.now();
      asking = ask().catch((error) => context.log.warn({ err: error }, 'the origins of forms could not be read'));
    }
    await Promise.race([asking, pause(maxWaitMs, undefined, { ref: false })]);
    return known;
  };
}

/** Pages of other origins may not read mail, not even pages on this machine. Ignores case, like the routes. */
function isMailbox(path: string): boolean {
  return /^\/mailbox(?:\/|$)/i.test(path);
}
