import Router from '@koa/router';
import type { Middleware } from 'koa';
import type { Config } from '../../config/config.ts';
import { isLoopback } from '../../ip-network.ts';
import type { MailText } from '../../mail/mailbox.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { Problem } from '../../problems.ts';
import type { RequestState } from '../http/request-scope.ts';
import { lockMailbox } from './mailbox-lock.ts';
import { pageOpener } from './open-page.ts';

const maxListed = 200;

/** Our page around a mail: it may frame one of ours, and otherwise what every page may. */
const pagePolicy =
  "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The mail itself: whatever stands in it, it can run nothing, load nothing, and leave its frame for nowhere. */
const mailPolicy =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/** Whether this server shows the mail that it writes to files: only one for trying things out, with no public address. */
export function hasMailbox(config: Pick<Config, 'smtp' | 'production' | 'publicUrl'>): boolean {
  const { hostname } = new URL(config.publicUrl);
  return config.smtp === undefined && !config.production && isLoopback(hostname);
}

export interface MailboxRoutes {
  /** Runs outside the middleware that sets the headers of every answer. */
  readonly frameHeaders: Middleware<RequestState>;
  /** Without a mailbox none. */
  readonly routes: Router<RequestState>;
}

/** @param key undefined where there is no mailbox. */
export function createMailboxRoutes(
  context: Pick<MailingContext, 'config' | 'mailer'>,
  key: string | undefined,
): MailboxRoutes {
  const router = new Router<RequestState>();
  const { mailbox } = context.mailer;
  if (mailbox !== undefined && key !== undefined) {
    const page = pageOpener(context.config.publicUrl);
    const [list, one] = [page('mailbox'), page('mail')];
    const find = async (name: string | undefined): Promise<MailText> => {
      const mail = await mailbox.read(name ?? '');
      if (mail === undefined) throw new Problem('route-unknown', 'there is no such mail');
      return mail;
    };
    const lock = lockMailbox(key, context.config.publicUrl);
    router.get('/mailbox', lock, async (ctx) => {
      ctx.type = 'html';
      ctx.body = list({ title: 'Mailbox', mails: await mailbox.list(maxListed) });
    });
    router.get('/mailbox/:name', lock, async (ctx) => {
      const mail = await find(ctx.params.name);
      ctx.type = 'html';
      ctx.body = one({ title: mail.subject, mail });
    });
    router.get('/mailbox/:name/html', lock, async (ctx) => {
      const mail = await find(ctx.params.name);
      ctx.type = 'html';
      ctx.body = mail.html;
    });
  }
  return {
    routes: router,
    async frameHeaders(ctx, next) {
      await next();
      if (ctx.status !== 200 || typeof ctx._matchedRoute !== 'string' || !ctx._matchedRoute.startsWith('/mailbox'))
        return;
      const isMail = ctx._matchedRoute.endsWith('/html');
      ctx.set('Content-Security-Policy', isMail ? mailPolicy : pagePolicy);
      if (isMail) ctx.set('X-Frame-Options', 'SAMEORIGIN');
    },
  };
}
