import type { Pool } from 'pg';
import type { Environment } from '../../src/config/config.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { type Context, openContext, openDatabaseContext } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';
import { type MailingContext, openMailingContext } from '../../src/mailing-context.ts';
import { openScope, type Scope } from '../../src/services/scope.ts';
import type { TestDatabase } from './database.ts';
import { testKeys } from './program.ts';

/** The real context on a test's database, for code without an HTTP route or command of its own. */
export async function openTestContext(db: Pick<TestDatabase, 'url'>, settings: Environment = {}): Promise<Context> {
  const config = readConfig({ DATABASE_URL: db.url, ENCRYPTION_KEYS: testKeys, ...settings });
  const log = createLog({ level: 'silent', format: 'json' });
  return await openContext(await openDatabaseContext(config, { log, embedded: 'join', waiting: 'operator' }));
}

/** The same, able to send mail. */
export async function openTestMailing(db: TestDatabase, settings: Environment): Promise<MailingContext> {
  return await openMailingContext(await openTestContext(db, settings));
}

/** The text of every statement from now on. The list grows. */
export async function recordStatements(context: Context): Promise<string[]> {
  const statements: string[] = [];
  const pool: Pool = await context.orm.em.getConnection().getNativeClient();
  pool.on('acquire', (client) => {
    if (Object.hasOwn(client, 'recorded')) return;
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    Object.assign(client, {
      recorded: true,
      query: (...args: unknown[]) => {
        const [statement] = args as [string | { text: string }];
        statements.push(typeof statement === 'string' ? statement : statement.text);
        return query(...args);
      },
    });
  });
  return statements;
}

/** A scope whose statements, by name, let `runFirst` go first. */
export function watchedScope(context: Context, runFirst: (name: string) => unknown): Scope {
  const scope = openScope(context);
  const getNativeClient = async () => {
    const pool: Pool = await scope.em.getConnection().getNativeClient();
    const connect = async () => {
      const client = await pool.connect();
      const query = async (statement: { name: string; text: string }) => {
        await runFirst(statement.name);
        return await client.query(statement);
      };
      return { query, release: (isFaulty: boolean) => client.release(isFaulty) };
    };
    return { connect };
  };
  const em = new Proxy(scope.em, {
    get(target, key) {
      if (key === 'getConnection') return () => ({ getNativeClient });
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { ...scope, em };
}
