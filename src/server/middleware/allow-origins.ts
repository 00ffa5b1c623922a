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

/** How long the forms' own origins are believed, in milliseconds: one query for however many strangers ask. */
const believedMs = 1000;

/** How long an answer waits for that query, in milliseconds: a database that is away must not cost twice its patience. */
const patienceMs = 300;

/** How long browsers may remember what a preflight said, in seconds. */
const maxAge = 600;

/**
 * Lets pages of the sites we serve read our answers, also refusals: each origin that the environment or any form
 * names, and no other; never with credentials. Whether a page may *post* to a form is decided apart from this,
 * by that form (`refuseForeignOrigin`): CORS alone would keep the answer back, and store the message.
 *
 * @param routes name the route in the log line of a preflight, which reaches no route itself.
 */
export function allowOrigins(context: Context, routes: Router<RequestState>): Middleware<RequestState> {
  const formOrigins = rememberFormOrigins(context);
  const answerOrigins = cors({
    async origin(ctx) {
      const origin = ctx.get('Origin');
      // Whoever asks whether we live must not wait for the database.
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
    // Errors are answered further out, where the headers that are set already stand.
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
    // What a program gets, which names no origin, is still not for a cache to give to a page.
    ctx.set('Vary', 'Origin');
    return next();
  };
}

function isPreflight(ctx: KoaContext): boolean {
  return ctx.method === 'OPTIONS' && ctx.get('Access-Control-Request-Method') !== '';
}

/** `@koa/cors` passes a preflight on only if its origin is not allowed. As a problem, the refusal is in the log. */
async function refuseOrigin(): Promise<void> {
  throw new Problem('origin-refused', 'no form takes posts from pages of this origin; see ALLOWED_ORIGINS');
}

/** While the database is away or slow, the last that was known holds. */
function rememberFormOrigins(context: Context): () => Promise<ReadonlySet<string>> {
  let known: ReadonlySet<string> = new Set();
  let asking: Promise<void> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  const ask = async () => {
    try {
      known = await listFormOrigins(openScope(context));
    } catch (error) {
      context.log.warn({ err: error }, 'the origins of forms could not be read');
    }
  };
  return async () => {
    if (performance.now() - askedAt >= believedMs) {
      askedAt = performance.now();
      asking = ask();
    }
    await Promise.race([asking, pause(patienceMs, undefined, { ref: false })]);
    return known;
  };
}

/** No page of another origin may read mail, not even one served from this machine. Routes ignore case, so this does too. */
function isMailbox(path: string): boolean {
  return /^\/mailbox(?:\/|$)/i.test(path);
}

function isProbe(path: string): boolean {
  return path === '/livez' || path === '/readyz';
}
