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
    const mails = await mailbox.list(maxListed);
    send(
      ctx,
      list({ title: 'Mailbox', mails: mails.map((mail) => withTimes(mail, ctx.state.scope.now(), writeTime)) }),
    );
  });
  router.get('/mailbox/:name', lock, async (ctx) => {
    const mail = await find(ctx);
    send(ctx, one({ title: mail.subject, mail: withTimes(mail, ctx.state.scope.now(), writeTime) }));
  });
  router.get('/mailbox/:name/html', lock, async (ctx) => {
    const { html } = await find(ctx);
    ctx.set('X-Frame-Options', 'SAMEORIGIN');
    send(ctx, html, mailPolicy);
  });
  return router;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

const units = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
] as const;

/** Adds how long ago the mail was written, and when; for an unreadable date, the text that stands there. */
function withTimes(
  mail: MailText,
  now: Date,
  writeTime: (at: Date) => string,
): MailText & { when: string; at: string } {
  const writtenAt = new Date(mail.date);
  const seconds = (now.getTime() - writtenAt.getTime()) / 1000;
  if (Number.isNaN(seconds)) return { ...mail, when: mail.date, at: mail.date };
  const [unit, size] = units.find(([, size]) => seconds >= size) ?? ['second', 1];
  return { ...mail, at: writeTime(writtenAt), when: relative.format(-Math.max(0, Math.floor(seconds / size)), unit) };
}
