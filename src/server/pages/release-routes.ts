import Router, { type RouterContext } from '@koa/router';
import type { Middleware } from 'koa';
import type { Context } from '../../context.ts';
import { catalogueOf } from '../../languages/languages.ts';
import { type LinkAnswer, type LinkState, readLink, releaseByLink } from '../../services/messages/release-by-link.ts';
import { heldInWords } from '../../words.ts';
import type { RequestState } from '../http/request-scope.ts';
import { basePathOf, pageOpener, tokenOf } from './open-page.ts';

const statuses: Readonly<Partial<Record<LinkState, number>>> = { over: 410, 'not-signed': 400 };

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
    const language = message?.language ?? config.language;
    const { release, reasons } = catalogueOf(language).pages;
    const { heading, text } = release[state];
    ctx.status = statuses[state] ?? 200;
    ctx.type = 'html';
    const action = state === 'ready' ? `${basePath}/release?token=${token}` : '';
    const shown = message && { ...message, reasons: heldInWords(message.reasons, reasons) };
    ctx.body = page({ language, title: heading, heading, text, action, message: shown ?? null });
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
