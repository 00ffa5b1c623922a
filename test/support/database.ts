import pg from 'pg';
import { migrateUp } from '../../src/database/migrate.ts';
import { commandPatience, openOrm } from '../../src/database/orm.ts';
import { startEmbeddedServer } from './embedded-server.ts';
import { until } from './until.ts';

let serial = 0;

/**
 * One PostgreSQL server for the whole run: `TEST_DATABASE_URL` (a role that may create databases), or an embedded
 * one in a temporary folder. The real migrations build a template; each test file's database is a clone of it.
 * Test files run in separate processes, which find the server through inherited environment variables.
 *
 * @returns a handle that stops it.
 */
export async function startTestServer(): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL;
  const server = given === undefined ? await startEmbeddedServer() : { url: given, stop: async () => {} };
  process.env[serverVariable] = server.url;
  process.env[templateVariable] = `ruffinweb_template_${process.pid}`;
  await onServer(`create database ${template()}`);
  const orm = await openOrm(urlOf(template()), commandPatience);
  await migrateUp(orm);
  await orm.close();
  return async () => {
    await onServer(`drop database if exists ${template()} with (force)`);
    await admin?.end();
    await server.stop();
  };
}

const serverVariable = 'RUFFINWEB_TEST_SERVER';
const templateVariable = 'RUFFINWEB_TEST_TEMPLATE';

/** A database of its own with the current schema. */
export async function createDatabase(options: { empty?: true } = {}): Promise<TestDatabase> {
  const name = `ruffinweb_test_${process.pid}_${++serial}`;
  await onServer(`create database ${name} ${options.empty ? '' : copyOf(template())}`);
  return new TestDatabase(name, urlOf(name));
}

/** A copy of a database without connections, like a restored backup. */
export async function copyDatabase(db: TestDatabase): Promise<TestDatabase> {
  const name = `ruffinweb_test_${process.pid}_${++serial}`;
  await db.disconnect();
  await onServer(`create database ${name} ${copyOf(db.name)}`);
  return new TestDatabase(name, urlOf(name));
}

/** A database, and a plain connection to inspect it. */
export class TestDatabase implements AsyncDisposable {
  readonly name: string;
  readonly url: string;
  #pool: pg.Pool;

  constructor(name: string, url: string) {
    this.name = name;
    this.url = url;
    this.#pool = openPool(url);
  }

  /** Closes every connection to it; the next query opens another. */
  async disconnect(): Promise<void> {
    await this.#pool.end();
    this.#pool = openPool(this.url);
  }

  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.#pool.query<Row>(text, values)).rows;
  }

  /** Number of emails by kind and state: `{ 'notification queued': 1 }`. */
  async emails(): Promise<Record<string, number>> {
    const rows = await this.query<{ key: string; count: number }>(
      `select kind || ' ' || state as key, count(*)::int from emails group by 1 order by 1`,
    );
    return Object.fromEntries(rows.map((row) => [row.key, row.count]));
  }

  async count(table: 'messages' | 'senders' | 'emails' | 'attempts'): Promise<number> {
    const [row] = await this.query<{ count: number }>(`select count(*)::int from ${table}`);
    return row?.count ?? 0;
  }

  /** Waits until this many statements on this database wait for a lock, or until `isOver`. */
  async waitingForLocks(count: number, isOver = () => false): Promise<void> {
    await until(`${count} statements wait for a lock`, async () => {
      const found = await this.query(`select 1 from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`, [
        this.name,
      ]);
      return found.length >= count || isOver();
    });
  }

  /**
   * For tests with many posts that are about something else: no hourly limit on
   * notifications, nor on auto-replies by network and domain.
   */
  async liftHourlyLimits(): Promise<void> {
    await this.query('update forms set notify_limit = 0');
    await this.query(`create function forget() returns trigger language plpgsql as 'begin return null; end';
      create trigger forget before insert on reply_limits for each row execute function forget()`);
  }

  /** Deletes everything that was posted. */
  async empty(): Promise<void> {
    for (let run = 1; ; run++) {
      try {
        await this.query(
          'truncate messages, senders, reply_days, reply_hours, reply_limits, notify_hours, used_captchas, duties, suppressions, hooks cascade',
        );
        await this.query(
          'update mail_queue set paused_at = null, cause = null, reason = null, probed_at = null, is_away = false',
        );
        return;
      } catch (error) {
        // A server in the test may be running maintenance on the same tables in another order.
        if (run >= 5 || (error as { code?: string }).code !== '40P01') throw error;
      }
    }
  }

  /**
   * Waits until the server has finished its first maintenance, which it runs when it starts: a message held before that
   * would be reported in a summary.
   */
  async maintenanceDone(): Promise<void> {
    await until('the server has finished its first maintenance', async () => {
      return (await this.query(`select from duties where name = 'purge' and done_at > 'epoch'`)).length > 0;
    });
  }

  /** Lets time pass for the outbox: everything queued is due now, and every lease is over. */
  async makeAllDue(): Promise<void> {
    await this.query(`update emails set due_at = now() - interval '1 second' where state = 'queued'`);
  }

  /** Makes the next probe of the mail server due, and wakes the workers. */
  async makeProbeDue(): Promise<void> {
    await this.query(`update mail_queue set probed_at = probed_at - interval '1 minute'`);
    await this.query(`select pg_notify('ruffinweb_emails', '')`);
  }

  /** Makes a message some days older, including its id, which contains its time. It can no longer be decrypted. */
  async age(messageId: string, days: number): Promise<string> {
    const [row] = await this.query<{ id: string }>(
      `select (lpad(to_hex((extract(epoch from now() - $2::int * interval '1 day') * 1000)::bigint), 12, '0')
         || substr(replace($1::text, '-', ''), 13))::uuid::text as id`,
      [messageId, days],
    );
    const id = row?.id ?? '';
    // Foreign keys do not cascade a changed id.
    await this.query(`
      set session_replication_role = replica;
      update messages set id = '${id}', received_at = received_at - interval '${days} days' where id = '${messageId}';
      update emails set message_id = '${id}' where message_id = '${messageId}';
      delete from recent_posts where message_id = '${messageId}';
      delete from message_keys where message_id = '${messageId}';
      set session_replication_role = default`);
    return id;
  }

  /** Holds an advisory lock, like a statement in progress. */
  async lockKey(key: bigint): Promise<{ release(): Promise<void> }> {
    const client = await this.#pool.connect();
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock($1)', [String(key)]);
    return {
      async release() {
        await client.query('rollback');
        client.release();
      },
    };
  }

  /** Nobody else can change a row of this table, or with `key share` its key, until it is released. */
  async lockRows(table: string, mode: 'update' | 'key share' = 'update'): Promise<{ release(): Promise<void> }> {
    const client = await this.#pool.connect();
    await client.query(`begin; select from ${table} for ${mode}`);
    return {
      async release() {
        await client.query('rollback');
        client.release();
      },
    };
  }

  /**
   * Blocks other users of these tables until it is released. `share` blocks only writers, `access share` only changes
   * to the table itself.
   */
  async lockTable(
    table: string,
    mode: 'access exclusive' | 'share' | 'access share' = 'access exclusive',
  ): Promise<{ release(): Promise<void> }> {
    const client = await this.#pool.connect();
    await client.query(`begin; lock table ${table} in ${mode} mode`);
    return {
      async release() {
        await client.query('rollback');
        client.release();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end();
    await onServer(`drop database if exists ${this.name} with (force)`);
  }
}

function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on('error', () => {});
  return pool;
}

function template(): string {
  return process.env[templateVariable] ?? '';
}

/**
 * The embedded server copies files, which takes a third of the time: its folder is in memory, so the checkpoints before
 * and after cost little.
 */
function copyOf(database: string): string {
  return `template ${database}${process.env.TEST_DATABASE_URL === undefined ? ' strategy file_copy' : ''}`;
}

function urlOf(database: string): string {
  const url = new URL(process.env[serverVariable] ?? 'postgresql://test-server-not-started');
  url.pathname = `/${database}`;
  return url.href;
}

let admin: pg.Pool | undefined;

/** One connection for the whole process, since PostgreSQL takes longer to open one than to drop a database. */
async function onServer(sql: string): Promise<void> {
  if (admin === undefined) {
    admin = new pg.Pool({
      connectionString: process.env[serverVariable],
      max: 1,
      idleTimeoutMillis: 0,
      allowExitOnIdle: true,
    });
    admin.on('error', () => {});
  }
  await admin.query(sql);
}
