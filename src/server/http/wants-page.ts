import type { Context } from 'koa';

/**
 * Whether the client is a browser that shows a page, and not a script or a program. Browsers name `text/html`
 * when they navigate; `fetch` and programs say that they take anything.
 */
export function wantsPage(ctx: Pick<Context, 'accepts' | 'headers'>): boolean {
  // Most posts come from programs, which do not name it at all.
  return /text\//i.test(ctx.headers.accept ?? '') && ctx.accepts('json', 'html') === 'html';
}
