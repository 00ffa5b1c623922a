import Router from '@koa/router';
import type { Middleware } from 'koa';
import type { Context } from '../../context.ts';
import { catalogueOf } from '../../languages/languages.ts';
import { readUnsubscribeToken, unsubscribe } from '../../services/senders/suppressions.ts';
import type { RequestState } from '../http/request-scope.ts';
import { wantsPage } from '../http/wants-page.ts';
import { basePathOf, pageOpener, tokenOf } from './open-page.ts';

/**
 * Lets a mailbox refuse auto-replies (RFC 8058). Virus scanners and previews follow links, so GET changes nothing and only
 * shows a button. The button posts, and so do mail programs.
 */
export function createUnsubscribeRoutes(
  { config }: Pick<Context, 'config'>,
  limit: readonly Middleware[],
): Router<RequestState> {
  const router = new Router<RequestState>();
  const basePath = basePathOf(config.publicUrl);
  const { language } = config;
  const title = catalogueOf(language).pages.stopTitle;
  const render = pageOpener(config.publicUrl)('unsubscribe');
  const page = (action: string) => render({ language, title, action });

  router.get('/unsubscribe', ...limit, (ctx) => {
    const token = tokenOf(ctx);
    readUnsubscribeToken(ctx.state.scope.keyring, token);
    ctx.type = 'html';
    ctx.body = page(`${basePath}/unsubscribe?token=${token}`);
  });

  // The body does not matter: the token is enough, and mail programs send different bodies.
  router.post('/unsubscribe', ...limit, async (ctx) => {
    await unsubscribe(ctx.state.scope, tokenOf(ctx));
    if (wantsPage(ctx)) {
      ctx.type = 'html';
      ctx.body = page('');
    } else {
      ctx.body = { status: 'ok' };
    }
  });
  return router;
}
