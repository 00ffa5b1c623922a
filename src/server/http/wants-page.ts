import type { Context } from 'koa';

/**
 * Whether the client is a browser that will show a page, not a script or a program. Browsers ask for `text/html` when they
 * navigate; `fetch` and programs accept anything.
 */
export function wantsPage(ctx: Pick<Context, 'accepts' | 'headers'>): boolean {
  // The cheap check first: most posts come from scripts, which do not ask for text.
  return /text\//i.test(ctx.headers.accept ?? '') && ctx.accepts('json', 'html') === 'html';
}
