import Router, { type RouterContext } from '@koa/router';
import type { Middleware } from 'koa';
import type { Context } from '../../context.ts';
import { type LinkAnswer, type LinkState, readLink, releaseByLink } from '../../services/messages/release-by-link.ts';
import type { RequestState } from '../http/request-scope.ts';
import { basePathOf, pageOpener, tokenOf } from './open-page.ts';

/** Status, heading and text of the page for each state. */
const words: Readonly<Record<LinkState, readonly [status: number, heading: string, text: string]>> = {
  ready: [200, 'Deliver this message?', 'It was held back. Press the button to get it by e-mail.'],
  released: [200, 'Delivered', 'The message is not held any more. Its e-mail is on the way.'],
  delivered: [200, 'Already delivered', 'Somebody released this message before. There is nothing left to do.'],
  over: [
    410,
    'This link is over',
    'It works for 14 days, until the message is deleted or held again. Use a newer mail, or "ruffinweb messages release" on the server.',
  ],
  'not-signed': [400, 'This link is incomplete', 'Copy all of it from the mail, up to the end of the line.'],
};

/**
 * Lets an owner release a held message from the daily summary. Virus scanners and previews follow links, so GET changes
 * nothing and only shows a button that posts.
 *
 * No check against posts from other sites: only who has the token can make a browser send it, and so can release anyway.
 */
export function createReleaseRoutes(
  { config }: Pick<Context, 'config'>,
  limit: readonly Middleware[],
): Router<RequestState> {
  const router = new Router<RequestState>();
  const basePath = basePathOf(config.publicUrl);
  const page = pageOpener(config.publicUrl)<Record<string, unknown>>('release');
  const answer = (ctx: RouterContext<RequestState>, token: string, { state, message }: LinkAnswer) => {
    const [status, heading, text] = words[state];
    ctx.status = status;
    ctx.type = 'html';
    const action = state === 'ready' ? `${basePath}/release?token=${token}` : '';
    ctx.body = page({ title: heading, heading, text, action, message: message ?? null });
  };

  router.get('/release', keepToken, ...limit, async (ctx) => {
    answer(ctx, tokenOf(ctx), await readLink(ctx.state.scope, tokenOf(ctx)));
  });
  router.post('/release', keepToken, ...limit, async (ctx) => {
    answer(ctx, tokenOf(ctx), await releaseByLink(ctx.state.scope, tokenOf(ctx)));
  });
  return router;
}

/** The address has the token, so browsers must not send it to other pages or files. Also for refusals. */
const keepToken: Middleware = async (ctx, next) => {
  ctx.set('Referrer-Policy', 'no-referrer');
  await next();
};
