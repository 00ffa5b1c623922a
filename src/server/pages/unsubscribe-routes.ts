import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { RouterContext } from '@koa/router';
import Router from '@koa/router';
import { Liquid } from 'liquidjs';
import type { Context } from '../../context.ts';
import { readUnsubscribeToken, unsubscribe } from '../../services/senders/suppressions.ts';
import type { RequestState } from '../http/request-scope.ts';
import { wantsPage } from '../http/wants-page.ts';

/**
 * "Never again" for auto-replies (RFC 8058). Mail programs, virus scanners and previews follow links by themselves,
 * so GET changes nothing: it shows a button. POST is the button, and what a mail program sends for it.
 */
export function createUnsubscribeRoutes({ config }: Pick<Context, 'config'>): Router<RequestState> {
  const router = new Router<RequestState>();
  const basePath = new URL(config.publicUrl).pathname.replace(/\/$/, '');
  const page = openPage(basePath, new URL(config.publicUrl).host);

  router.get('/unsubscribe', (ctx) => {
    const token = tokenOf(ctx);
    readUnsubscribeToken(ctx.state.scope.keyring, token);
    ctx.type = 'html';
    ctx.body = page({ title: 'No more confirmations', action: `${basePath}/unsubscribe?token=${token}` });
  });

  // What the body says does not matter: the token says it all, and some mail programs send a body of their own.
  router.post('/unsubscribe', async (ctx) => {
    await unsubscribe(ctx.state.scope, tokenOf(ctx));
    if (wantsPage(ctx)) {
      ctx.type = 'html';
      ctx.body = page({ title: 'No more confirmations', action: '' });
    } else {
      ctx.body = { status: 'ok' };
    }
  });
  return router;
}

function tokenOf(ctx: RouterContext<RequestState>): string {
  const { token } = ctx.query;
  // Nothing but the characters of a token is ever printed into the page.
  return typeof token === 'string' && /^[\w.-]{1,200}$/.test(token) ? token : '';
}

function openPage(basePath: string, siteHost: string): (values: { title: string; action: string }) => string {
  const folder = new URL('./liquid/', import.meta.url);
  const liquid = new Liquid({ root: fileURLToPath(folder), extname: '.liquid', outputEscape: 'escape', cache: true });
  const template = liquid.parse(readFileSync(new URL('unsubscribe.liquid', folder), 'utf8'));
  return (values) => liquid.renderSync(template, { base_path: basePath, site_host: siteHost, ...values }) as string;
}
