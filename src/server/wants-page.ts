import type { Context } from 'koa';

/**
 * Whether the client is a browser that shows a page, and not a script or a program. Browsers name `text/html`
 * when they navigate; `fetch` and programs say that they take anything.
 */
export function wantsPage(ctx: Pick<Context, 'accepts'>): boolean {
  return ctx.accepts('json', 'html') === 'html';
}
