import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { Context } from '../../context.ts';
import type { ProblemCode } from '../../problems.ts';
import type { Admission } from '../../services/api-keys/api-keys.ts';
import type { Intake } from '../../services/intake/intake.ts';
import { openScope, type Scope } from '../../services/scope.ts';
import { clientAddressOf, explainWrongTrustProxy } from './client-address.ts';

/** What the middleware of one request shares. */
export interface RequestState {
  requestId: string;
  scope: Scope;
  intake: Intake;
  clientAddress: string | undefined;
  /** The posted fields, so that a page can let the visitor correct them. */
  posted?: ReadonlyMap<string, unknown>;
  /** The page that `_next` or the form names for the visitor, if it is allowed. */
  next?: string | undefined;
  /** The stored message; for a repeat, the first one. */
  stored?: { message: string; receipt: string; repeated: boolean };
  problem?: ProblemCode;
  /** For a preflight: the route it asks about, and the refused method and headers. */
  preflight?: { route: string; refused: string[] };
  /** The API key, on admin routes. */
  admission?: Admission;
  /** The Content-Security-Policy of a page with other needs than most. */
  pagePolicy?: string;
}

/**
 * Gives each request an id and a scope, and logs one line with the result when it is answered. Logs the route, never
 * the path, which may contain anything.
 */
export function openRequestScope(context: Context, intake: Intake): Middleware<RequestState> {
  const { trustProxy } = context.config;
  let hasWarned = false;
  return async (ctx, next) => {
    const startedAt = performance.now();
    const requestId = randomUUID();
    const scope = openScope(context, { request: requestId });
    const clientAddress = clientAddressOf(ctx.req, trustProxy);
    Object.assign(ctx.state, { requestId, scope, intake, clientAddress });
    const mistake = hasWarned || ctx.method !== 'POST' ? undefined : explainWrongTrustProxy(ctx.req, trustProxy);
    if (mistake !== undefined) {
      hasWarned = true;
      context.log.warn(mistake);
    }
    ctx.set('X-Request-Id', requestId);
    await next();
    const { problem, preflight } = ctx.state;
    const refused = preflight?.refused.length ? preflight.refused : undefined;
    scope.log.info(
      {
        method: ctx.method,
        route: preflight?.route ?? (typeof ctx._matchedRoute === 'string' ? ctx._matchedRoute : '-'),
        status: ctx.status,
        problem,
        refused,
        ...((problem === 'origin-refused' || refused) && { origin: loggableOrigin(ctx.req.headers.origin) }),
        ...ctx.state.stored,
        ms: Math.round((performance.now() - startedAt) * 10) / 10,
      },
      ctx.state.stored === undefined ? 'answered' : 'message stored',
    );
  };
}

/** Simultaneous callers share one run, and so one database connection. */
export function oneAtATime<Given, Result>(run: (given: Given) => Promise<Result>): (given: Given) => Promise<Result> {
  let running: Promise<Result> | undefined;
  return (given) => {
    running ??= run(given).finally(() => {
      running = undefined;
    });
    return running;
  };
}

/** A program may send anything in that header, so only a valid origin is logged. */
function loggableOrigin(header: string | undefined): string {
  return /^(?:null|[a-z][a-z0-9+.-]*:\/\/[\w.:[\]-]{1,260})$/i.test(header ?? '') ? (header ?? '') : '-';
}
