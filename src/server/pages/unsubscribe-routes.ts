import type { RouterContext } from '@koa/router';
import Router from '@koa/router';
import type { Context } from '../../context.ts';
import { readUnsubscribeToken, unsubscribe } from '../../services/senders/suppressions.ts';
import type { RequestState } from '../http/request-scope.ts';
import { wantsPage } from '../http/wants-page.ts';
import { basePathOf, pageOpener } from './open-page.ts';

/**
 * "Never again" for auto-replies (RFC 8058). Mail programs, virus scanners and previews follow links by themselves,
 * so GET changes nothing: it shows a button. POST is the button, and what a mail program sends for it.
 */
export function createUnsubscribeRoutes({ config }: Pick<Context, 'config'>): Router<RequestState> {
  const router = new Router<RequestState>();
  const basePath = basePathOf(config.publicUrl);
  const page = pageOpener(config.publicUrl)<{ title: string; action: string }>('unsubscribe');

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
