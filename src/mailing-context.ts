import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Config } from './config/config.ts';
import type { Context } from './context.ts';
import type {
  composeAutoReply,
  composeHeldSummary,
  composeNotification,
  composeTest,
  Mail,
  Mailer,
  Templates,
} from './mail/index.ts';

type Rest<F> = F extends (templates: never, ...rest: infer R) => Mail ? (...rest: R) => Mail : never;

/** Composes mails from the operator's templates. */
export interface Composer {
  readonly notification: Rest<typeof composeNotification>;
  readonly autoReply: Rest<typeof composeAutoReply>;
  readonly heldSummary: Rest<typeof composeHeldSummary>;
  readonly test: typeof composeTest;
  readonly preview: Templates['preview'];
}

/** For processes that send mail. */
export interface MailingContext extends Context {
  readonly mailer: Mailer;
  readonly composer: Composer;
}

/** Takes ownership of `context`, even if it fails. @throws {TemplateFault} */
export async function openMailingContext(context: Context): Promise<MailingContext> {
  await using opened = new AsyncDisposableStack();
  opened.use(context);
  const mail = opened.use(await openMail(context.config));
  const owned = opened.move();
  return { ...context, ...mail, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Opens the mailer and the composer. They are loaded here because most commands need neither. @throws {TemplateFault} */
export async function openMail(config: Config): Promise<Pick<MailingContext, 'mailer' | 'composer'> & AsyncDisposable> {
  const templates = await openMailTemplates(config);
  const [mailer, { composeAutoReply, composeHeldSummary, composeNotification, composeTest }] = await Promise.all([
    openMailer(config),
    import('./mail/index.ts'),
  ]);
  return {
    mailer,
    composer: {
      notification: (...rest) => composeNotification(templates, ...rest),
      autoReply: (...rest) => composeAutoReply(templates, ...rest),
      heldSummary: (...rest) => composeHeldSummary(templates, ...rest),
      test: composeTest,
      preview: (kind) => templates.preview(kind),
    },
    [Symbol.asyncDispose]: () => mailer[Symbol.asyncDispose](),
  };
}

/** Loads the templates and tries each one. @throws {TemplateFault} */
export async function openMailTemplates(config: Config): Promise<Templates> {
  const { openTemplates } = await import('./mail/index.ts');
  return openTemplates({ overrideFolder: join(config.dataDir, 'templates') });
}

export async function openMailer(config: Config): Promise<Mailer> {
  const { createMailer, securityFor } = await import('./mail/index.ts');
  const { smtp } = config;
  return createMailer({
    folder: join(config.dataDir, 'mail'),
    ...(smtp !== undefined && {
      smtp: {
        host: smtp.host,
        port: smtp.port,
        lanes: smtp.connections,
        security: securityFor(smtp.host, smtp.port),
        from: config.mailFrom.address,
        helloName: await helloNameOf(config),
        ...(smtp.user !== undefined && { user: smtp.user, password: smtp.password?.reveal() ?? '' }),
      },
    }),
  });
}

/** The name that we give mail servers in EHLO. */
export async function helloNameOf({ smtp, publicUrl, mailFrom }: Config): Promise<string> {
  const { helloNameFor } = await import('./mail/index.ts');
  return smtp?.hello ?? helloNameFor({ machine: hostname(), publicUrl, from: mailFrom.address });
}
