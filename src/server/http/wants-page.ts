import type { Context } from 'koa';

/**
 * Whether the client is a browser that will show a page, not a script or a program. Browsers ask for `text/html` when they
 * navigate; `fetch` and programs accept anything.
 */
export function wantsPage(ctx: Pick<Context, 'accepts' | 'headers'>): boolean {
  // The cheap check first: most posts come from scripts, which do not ask for text.
  return /text\//i.test(ctx.headers.accept ?? '') && ctx.accepts('json', 'html') === 'html';
}

/** Whether this is a post of a form to a route that accepts it. The route is our pattern, not the requested path. */
export function isFormPost({ method, _matchedRoute: route }: { method: string; _matchedRoute?: unknown }): boolean {
  if (method !== 'POST' || typeof route !== 'string') return false;
  return /^\/(?:api\/(?:messages|message\/?|forms\/.*)|f\/.*)$/.test(route);
}
