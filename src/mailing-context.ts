import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Config } from './config/config.ts';
import type { Context } from './context.ts';
import type { HookSender } from './hooks/hook-sender.ts';
import type { Composer } from './mail/compose/compose.ts';
import type { Templates } from './mail/compose/templates.ts';
import type { Mailer } from './mail/mailer.ts';

/** For processes that send mail and deliver to hooks. */
export interface MailingContext extends Context {
  readonly mailer: Mailer;
  readonly composer: Composer;
  readonly hookSender: HookSender;
}

/** Takes ownership of `context`, even if it fails. @throws {TemplateFault} */
export async function openMailingContext(context: Context): Promise<MailingContext> {
  await using opened = new AsyncDisposableStack();
  opened.use(context);
  const mail = opened.use(await openMail(context.config));
  const { createHookSender } = await import('./hooks/https-sender.ts');
  const hookSender = createHookSender({ allowHosts: context.config.hookAllowHosts });
  const owned = opened.move();
  return { ...context, ...mail, hookSender, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Opens the mailer and the composer. They are loaded here because most commands need neither. @throws {TemplateFault} */
export async function openMail(config: Config): Promise<Pick<MailingContext, 'mailer' | 'composer'> & AsyncDisposable> {
  const { createComposer } = await import('./mail/compose/compose.ts');
  const composer = createComposer(await openMailTemplates(config));
  const mailer = await openMailer(config);
  return { mailer, composer, [Symbol.asyncDispose]: () => mailer[Symbol.asyncDispose]() };
}

/** Loads the templates and tries each one. @throws {TemplateFault} */
export async function openMailTemplates(config: Config): Promise<Templates> {
  const { openTemplates } = await import('./mail/compose/templates.ts');
  return openTemplates({ overrideFolder: join(config.dataDir, 'templates'), timeZone: config.timeZone });
}

/** A mailer over SMTP if it is configured, otherwise one that writes `.eml` files. */
export async function openMailer(config: Config): Promise<Mailer> {
  const { smtp } = config;
  if (smtp === undefined) {
    const { createFileMailer } = await import('./mail/file-mailer.ts');
    return createFileMailer(join(config.dataDir, 'mail'));
  }
  const { createSmtpMailer } = await import('./mail/smtp/smtp-mailer.ts');
  return createSmtpMailer({
    host: smtp.host,
    port: smtp.port,
    lanes: smtp.connections,
    from: config.mailFrom.address,
    helloName: await helloNameOf(config),
    ...(smtp.user !== undefined && { user: smtp.user, password: smtp.password?.reveal() ?? '' }),
  });
}

/** The name that we give mail servers in EHLO. */
export async function helloNameOf({ smtp, publicUrl, mailFrom }: Config): Promise<string> {
  const { helloNameFor } = await import('./mail/smtp/defaults.ts');
  return smtp?.hello ?? helloNameFor({ machine: hostname(), publicUrl, from: mailFrom.address });
}
