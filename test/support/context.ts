import type { Environment } from '../../src/config/config.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { type Context, openContext, openDatabaseContext } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';
import { type MailingContext, openMailingContext } from '../../src/mailing-context.ts';
import type { TestDatabase } from './database.ts';
import { testKeys } from './program.ts';

/** The real context on a test's database, for code without an HTTP route or command of its own. */
export async function openTestContext(db: TestDatabase, settings: Environment = {}): Promise<Context> {
  const config = readConfig({ DATABASE_URL: db.url, ENCRYPTION_KEYS: testKeys, ...settings });
  const log = createLog({ level: 'silent', format: 'json' });
  return await openContext(await openDatabaseContext(config, { log, embedded: 'join', waiting: 'operator' }));
}

/** The same, able to send mail. */
export async function openTestMailing(db: TestDatabase, settings: Environment): Promise<MailingContext> {
  return await openMailingContext(await openTestContext(db, settings));
}
