import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { Context } from '../../context.ts';
import type { ProblemCode } from '../../problems.ts';
import type { Admission } from '../../services/api-keys/api-keys.ts';
import type { Intake } from '../../services/intake/intake.ts';
import { openScope, type Scope } from '../../services/scope.ts';
import { clientAddressOf, explainWrongTrustProxy } from './client-address.ts';

/** State that the middleware of one request shares. */
export interface RequestState {
  requestId: string;
  scope: Scope;
  intake: Intake;
  clientAddress: string | undefined;
  /** The posted fields, so that a page can let the visitor correct them. */
  posted?: ReadonlyMap<string, unknown>;
  /** Where `_next` sends the visitor, if that is allowed. */
  next?: string | undefined;
  /** The stored message; for a repeated post the first one. */
  stored?: { message: string; receipt: string; repeated: boolean };
  problem?: ProblemCode;
  /** In a preflight, the route that the browser asks about, and the refused method and headers. */
  preflight?: { route: string; refused: string[] };
  /** The API key of a request to the admin routes. */
  admission?: Admission;
}

/**
 * Gives each request an id and a scope, and logs one line with the result when it is answered. Logs the route, never
 * the path, which may contain anything.
 */
export function openRequestScope(context: Context, intake: Intake): Middleware<RequestState> {
  const { trustProxy } = context.config;
  let warned = false;
  return async (ctx, next) => {
    const startedAt = performance.now();
    const requestId = randomUUID();
    const scope = openScope(context, { request: requestId });
    ctx.state.requestId = requestId;
    ctx.state.scope = scope;
    ctx.state.intake = intake;
    ctx.state.clientAddress = clientAddressOf(ctx.req, trustProxy);
    const mistake = warned || ctx.method !== 'POST' ? undefined : explainWrongTrustProxy(ctx.req, trustProxy);
    if (mistake !== undefined) {
      warned = true;
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

/** A program may write anything into that header, so only a valid origin is logged. */
function loggableOrigin(header: string | undefined): string {
  return /^(?:null|[a-z][a-z0-9+.-]*:\/\/[\w.:[\]-]{1,260})$/i.test(header ?? '') ? (header ?? '') : '-';
}
