import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { Context } from '../../context.ts';
import type { ProblemCode } from '../../problems.ts';
import type { Admission } from '../../services/api-keys/api-keys.ts';
import type { Intake } from '../../services/intake/intake.ts';
import { openScope, type Scope } from '../../services/scope.ts';
import { clientAddressOf, explainWrongTrustProxy } from './client-address.ts';

/** What the middlewares of one request tell each other. */
export interface RequestState {
  requestId: string;
  scope: Scope;
  intake: Intake;
  clientAddress: string | undefined;
  /** The fields that were posted, for a page that lets the visitor correct them. */
  posted?: ReadonlyMap<string, unknown>;
  /** Where `_next` sends the visitor, if it may. */
  next?: string | undefined;
  /** What a post led to: a message, stored now or (where it was a repeat) before. */
  stored?: { message: string; receipt: string; repeated: boolean };
  problem?: ProblemCode;
  /** The route that a browser asks about in a preflight, and what of the page's request is refused. */
  preflight?: { route: string; refused: string[] };
  /** Whose key a request to the admin routes came with. */
  admission?: Admission;
}

/**
 * Gives each request an id and a scope, and logs one line when it is answered: what it led to, and the route; never the
 * path as it was typed, since anything may stand in that.
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
        ...((problem === 'origin-refused' || refused) && { origin: originNamed(ctx.req.headers.origin) }),
        ...ctx.state.stored,
        ms: Math.round((performance.now() - startedAt) * 10) / 10,
      },
      ctx.state.stored === undefined ? 'answered' : 'message stored',
    );
  };
}

/** A program may write anything into that header: only what reads like an origin is logged. */
function originNamed(header: string | undefined): string {
  return /^(?:null|[a-z][a-z0-9+.-]*:\/\/[\w.:[\]-]{1,260})$/i.test(header ?? '') ? (header ?? '') : '-';
}
