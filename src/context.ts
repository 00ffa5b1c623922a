import { join } from 'node:path';
import type { Config } from './config.ts';
import { readKeys } from './config.ts';
import { joinEmbedded, startEmbedded } from './database/embedded.ts';
import { loadKeyring } from './database/encryption-keys.ts';
import { commandPatience, type Orm, openOrm, requestPatience } from './database/orm.ts';
import type { Log } from './log.ts';
import {
  composeAutoReply,
  composeNotification,
  createMailer,
  type Mail,
  type Mailer,
  openTemplates,
  securityFor,
} from './mail/index.ts';
import { readOrMakeKeyFile } from './privacy/key-file.ts';
import type { Keyring } from './privacy/keyring.ts';

/**
 * What a command owns that works on the database as a whole: migrations, health. The contexts below add what
 * others need; each releases, in reverse, all that it opened.
 */
export interface DatabaseContext extends AsyncDisposable {
  readonly config: Config;
  readonly log: Log;
  readonly now: () => Date;
  /** Where the database is; a secret, since it holds the password. */
  readonly databaseUrl: string;
  readonly orm: Orm;
}

/** What a process owns that reads or writes what visitors gave. */
export interface Context extends DatabaseContext {
  readonly keyring: Keyring;
}

type Rest<F> = F extends (templates: never, ...rest: infer R) => Mail ? (...rest: R) => Mail : never;

/** Writes mails with the operator's templates. */
export interface Composer {
  readonly notification: Rest<typeof composeNotification>;
  readonly autoReply: Rest<typeof composeAutoReply>;
}

/** What a process owns that sends mail. */
export interface MailingContext extends Context {
  readonly mailer: Mailer;
  readonly composer: Composer;
}

export interface Opening {
  log: Log;
  /** Whether to start the embedded database (`serve`) or to join the running one (every other command). */
  embedded: 'start' | 'join';
  /** Whether a visitor waits for the answer, or an operator. */
  waiting: 'visitor' | 'operator';
}

/** @throws {EmbeddedNotRunning} */
export async function openDatabaseContext(config: Config, opening: Opening): Promise<DatabaseContext> {
  await using opened = new AsyncDisposableStack();
  const databaseUrl = await findDatabase(config, opening, opened);
  const orm = opened.adopt(
    await openOrm(databaseUrl, opening.waiting === 'visitor' ? requestPatience : commandPatience),
    (it) => it.close(),
  );
  // From here the caller owns them. Had a line above thrown, what was open is closed already.
  const owned = opened.move();
  return {
    config,
    log: opening.log,
    now: () => new Date(),
    databaseUrl,
    orm,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Takes over `base`, also where it fails. @throws {KeysWrong} */
export async function openContext(base: DatabaseContext): Promise<Context> {
  await using opened = new AsyncDisposableStack();
  opened.use(base);
  const { config } = base;
  const keys = config.encryptionKeys?.reveal() ?? readKeys(readOrMakeKeyFile(config.dataDir, base.now()));
  const keyring = await loadKeyring(base.orm.em.fork(), keys);
  const owned = opened.move();
  return { ...base, keyring, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Takes over `context`, also where it fails. @throws {TemplateFault} */
export async function openMailingContext(context: Context): Promise<MailingContext> {
  await using opened = new AsyncDisposableStack();
  opened.use(context);
  const { config } = context;
  const templates = openTemplates({ overrideFolder: join(config.dataDir, 'templates') });
  const composer: Composer = {
    notification: (...rest) => composeNotification(templates, ...rest),
    autoReply: (...rest) => composeAutoReply(templates, ...rest),
  };
  const mailer = opened.use(createMailer(mailerOptions(config)));
  const owned = opened.move();
  return { ...context, composer, mailer, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function findDatabase(config: Config, opening: Opening, opened: AsyncDisposableStack): Promise<string> {
  const url = config.databaseUrl.reveal();
  if (url !== 'embedded') return url;
  if (opening.embedded === 'join') return await joinEmbedded(config.dataDir);
  const server = opened.use(await startEmbedded(config.dataDir, { log: (line) => opening.log.info(line) }));
  return server.url;
}

function mailerOptions({ smtp, dataDir }: Config): Parameters<typeof createMailer>[0] {
  const folder = join(dataDir, 'mail');
  if (smtp === undefined) return { folder };
  const login = smtp.user === undefined ? {} : { user: smtp.user, password: smtp.password?.reveal() ?? '' };
  return { folder, smtp: { host: smtp.host, port: smtp.port, security: securityFor(smtp.host, smtp.port), ...login } };
}
