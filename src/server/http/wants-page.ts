import type { Context } from 'koa';

/**
 * Whether the client is a browser that shows a page, not a script or a program. Browsers ask for `text/html` when they
 * navigate; `fetch` and programs accept anything.
 */
export function wantsPage(ctx: Pick<Context, 'accepts' | 'headers'>): boolean {
  // The cheap check first: most posts come from programs, which do not ask for text.
  return /text\//i.test(ctx.headers.accept ?? '') && ctx.accepts('json', 'html') === 'html';
}
