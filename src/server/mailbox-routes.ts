import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Router from '@koa/router';
import type { Middleware } from 'koa';
import { Liquid } from 'liquidjs';
import type { MailingContext } from '../context.ts';
import type { MailText } from '../mail/mailbox.ts';
import { Problem } from '../problems.ts';
import { isFromThisMachine } from './client-address.ts';
import type { RequestState } from './request-scope.ts';

const mostListed = 200;

/** Our page around a mail: it may frame one of ours, and otherwise what every page may. */
const pagePolicy =
  "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The mail itself: whatever stands in it, it can run nothing, load nothing, and leave its frame for nowhere. */
const mailPolicy =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/**
 * Mail that only went to files can be looked at, while nobody else's data is in it. That a server is one for trying
 * things out nobody told it, though: whatever its address is, only this machine is shown what was posted there.
 */
export function hasMailbox({ config, mailer }: Pick<MailingContext, 'config' | 'mailer'>): boolean {
  return mailer.mailbox !== undefined && !config.production;
}

export interface MailboxRoutes {
  /** Stands outside of what sets the headers of every answer. */
  readonly frameHeaders: Middleware<RequestState>;
  /** Without a mailbox none. */
  readonly routes: Router<RequestState>;
}

export function createMailboxRoutes(context: Pick<MailingContext, 'config' | 'mailer'>): MailboxRoutes {
  const router = new Router<RequestState>();
  const { mailbox } = context.mailer;
  if (mailbox !== undefined && hasMailbox(context)) {
    const [list, one] = openPages(new URL(context.config.publicUrl).pathname.replace(/\/$/, ''));
    const find = async (name: string | undefined): Promise<MailText> => {
      const mail = await mailbox.read(name ?? '');
      if (mail === undefined) throw new Problem('route-unknown', 'there is no such mail');
      return mail;
    };
    const here: Middleware<RequestState> = (ctx, next) => {
      if (isFromThisMachine(ctx.req)) return next();
      throw new Problem('route-unknown', 'mail in files is shown to this machine alone');
    };
    router.get('/mailbox', here, async (ctx) => {
      ctx.type = 'html';
      ctx.body = list({ title: 'Mailbox', mails: await mailbox.list(mostListed) });
    });
    router.get('/mailbox/:name', here, async (ctx) => {
      const mail = await find(ctx.params.name);
      ctx.type = 'html';
      ctx.body = one({ title: mail.subject, mail });
    });
    router.get('/mailbox/:name/html', here, async (ctx) => {
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

type Page = (values: Record<string, unknown>) => string;

function openPages(basePath: string): [list: Page, one: Page] {
  const folder = new URL('./pages/', import.meta.url);
  const liquid = new Liquid({ root: fileURLToPath(folder), extname: '.liquid', outputEscape: 'escape', cache: true });
  const page = (name: string): Page => {
    const template = liquid.parse(readFileSync(new URL(`${name}.liquid`, folder), 'utf8'));
    return (values) => liquid.renderSync(template, { base_path: basePath, ...values }) as string;
  };
  return [page('mailbox'), page('mail')];
}
