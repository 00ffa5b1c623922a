import Router, { type RouterContext } from '@koa/router';
import type { Config } from '../../config/config.ts';
import type { MailText } from '../../mail/mailbox.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { isLoopback } from '../../network/ip-network.ts';
import { Problem } from '../../problems.ts';
import { timeWriter } from '../../time-zone.ts';
import type { RequestState } from '../http/request-scope.ts';
import { lockMailbox } from './mailbox-lock.ts';
import { pageOpener } from './open-page.ts';

const maxListed = 200;

/** The page about a mail: it may frame the mail. */
const pagePolicy =
  "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The mail itself: whatever it contains, it cannot run or load anything, or leave its frame. */
const mailPolicy =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/** The mailbox shows mail that was written to files. Only servers for trying things out have it, never public ones. */
export function hasMailbox(config: Pick<Config, 'smtp' | 'production' | 'publicUrl'>): boolean {
  const { hostname } = new URL(config.publicUrl);
  return config.smtp === undefined && !config.production && isLoopback(hostname);
}

/** @param key undefined if there is no mailbox; then there are no routes. */
export function createMailboxRoutes(
  { config, mailer: { mailbox } }: Pick<MailingContext, 'config' | 'mailer'>,
  key: string | undefined,
): Router<RequestState> {
  const router = new Router<RequestState>();
  if (mailbox === undefined || key === undefined) return router;
  const page = pageOpener(config.publicUrl);
  const [list, one] = [page('mailbox'), page('mail')];
  const writeTime = timeWriter(config.timeZone);
  const lock = lockMailbox(key, config.publicUrl);
  const send = (ctx: RouterContext<RequestState>, html: string, policy = pagePolicy) => {
    ctx.state.pagePolicy = policy;
    ctx.type = 'html';
    ctx.body = html;
  };
  const find = async (ctx: RouterContext<RequestState>): Promise<MailText> => {
    const mail = await mailbox.read(ctx.params.name ?? '');
    if (mail === undefined) throw new Problem('route-unknown', 'there is no such mail');
    return mail;
  };
  router.get('/mailbox', lock, async (ctx) => {
    const mails = (await mailbox.list(maxListed)).map((it) => ({
      ...it,
      date: it.date && writeTime(new Date(it.date)),
    }));
    send(ctx, list({ title: 'Mailbox', mails }));
  });
  router.get('/mailbox/:name', lock, async (ctx) => {
    const mail = await find(ctx);
    send(ctx, one({ title: mail.subject, mail }));
  });
  router.get('/mailbox/:name/html', lock, async (ctx) => {
    const { html } = await find(ctx);
    ctx.set('X-Frame-Options', 'SAMEORIGIN');
    send(ctx, html, mailPolicy);
  });
  return router;
}
