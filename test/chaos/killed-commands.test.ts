import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import { migrations } from '../../src/database/migrations/index.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { RunningServer, ruffinweb } from '../support/program.ts';
import { chaosSeed, randomFrom } from '../support/random.ts';
import { until } from '../support/until.ts';

const names = migrations.map((it) => it.name);

/** Commands that are killed at random moments. Run a failure again with the printed `CHAOS_SEED`. */
describe('a killed command leaves nothing half done', () => {
  const seed = chaosSeed();
  const random = randomFrom(seed);

  before(() => console.log(`    CHAOS_SEED=${seed}`));

  /** The database goes on with a statement whose client is dead. */
  async function connectionsClosed(db: TestDatabase): Promise<void> {
    await until('the connections of the killed command are closed', async () => {
      const open = `select from pg_stat_activity where datname = $1 and application_name like 'ruffinweb%'`;
      return (await db.query(open, [db.name])).length === 0;
    });
  }

  it('emails resend --to: each failed mail has one copy or none', async () => {
    await using db = await createDatabase();
    const count = 700;
    {
      await using context = await openTestContext(db, { AUTO_REPLY: 'off' });
      await buildMessages(context, count);
    }
    await past.failed(db);
    const args = ['emails', 'resend', '--failed', '--to', 'office@example.test', '--yes', '--json'];
    const settings = { DATABASE_URL: db.url };
    const copies = async () =>
      (await db.query<{ count: number }>(`select count(*)::int from emails where state = 'queued'`))[0]?.count ?? 0;
    /** How many messages have which emails. */
    const states = async () => {
      const rows = await db.query<{ emails: string; count: number }>(
        `select emails, count(*)::int from (
           select string_agg(state || ' ' || recipient, ', ' order by created_at, id) as emails from emails group by message_id
         ) as each group by 1`,
      );
      return Object.fromEntries(rows.map((it) => [it.emails, it.count]));
    };
    let killed = 0;
    for (let round = 1; round <= 6; round++) {
      const before = await copies();
      const target = before + Math.floor(random() * 0.5 * (count - before));
      await using command = await RunningServer.startCommand(args, settings);
      await until(`${target} copies are queued`, async () => (await copies()) > target || command.output !== '');
      if ((await command.stop('SIGKILL')).signal === 'SIGKILL') killed++;
      await connectionsClosed(db);
      const { 'failed owner@localhost': left = 0, [moved]: done = 0, ...other } = await states();
      expect(other, 'nothing else').to.deep.equal({});
      expect(left + done).to.equal(count);
    }
    console.log(`    resend: killed ${killed} times, ${count - (await copies())} left`);
    expect(killed).to.be.greaterThan(1);
    expect((await ruffinweb(args, settings)).code).to.equal(0);
    expect(await states()).to.deep.equal({ [moved]: count });
    expect((await ruffinweb(args, settings)).code).to.equal(0);
    expect(await states(), 'a further run changes nothing').to.deep.equal({ [moved]: count });
  });

  const moved = 'cancelled owner@localhost, queued office@example.test';

  for (const [what, from] of [
    ['all migrations', 0],
    ['the last four', names.length - 4],
  ] as const) {
    it(`migrate up, ${what}: all of them or none`, async () => {
      await using whole = await createDatabase();
      const expected = await schemaOf(whole);
      let killed = 0;
      let longestMs = 1500;
      for (let round = 1; round <= 6; round++) {
        await using db = await createDatabase(from === 0 ? { empty: true } : {});
        const settings = { DATABASE_URL: db.url };
        for (let level = names.length; from > 0 && level > from; level--) {
          expect((await ruffinweb(['migrate', 'down', '--yes'], settings)).code).to.equal(0);
        }
        const start = await schemaOf(db);
        const startedAt = performance.now();
        await using command = await RunningServer.startCommand(['migrate', 'up', '--json'], settings);
        await Promise.race([
          pause(longestMs * (0.2 + 0.8 * random())),
          until('it has ended', () => command.output !== ''),
        ]);
        if ((await command.stop('SIGKILL')).signal === 'SIGKILL') killed++;
        if (command.output !== '') longestMs = performance.now() - startedAt;
        await connectionsClosed(db);
        const now = await schemaOf(db);
        expect(now === start || now === expected, `all or none: ${now}`).to.equal(true);
        const again = await ruffinweb(['migrate', 'up', '--json'], settings);
        expect(again.code, again.stderr).to.equal(0);
        expect(await schemaOf(db)).to.equal(expected);
        expect((await ruffinweb(['migrate', 'check'], settings)).code).to.equal(0);
      }
      console.log(`    migrate: killed ${killed} times of 6`);
    });
  }

  /** Every column and index with its type, and every migration that counts as applied. */
  async function schemaOf(db: TestDatabase): Promise<string> {
    const rows = await db.query<{ line: string }>(
      `select table_name || '.' || column_name || ' ' || data_type as line from information_schema.columns
         where table_schema = 'public' and table_name <> 'schema_migrations'
       union all select indexdef from pg_indexes where schemaname = 'public' and tablename <> 'schema_migrations'`,
    );
    const [table] = await db.query<{ found: boolean }>(`select to_regclass('schema_migrations') is not null as found`);
    const applied = table?.found ? await db.query<{ name: string }>('select name from schema_migrations') : [];
    return [...rows.map((it) => it.line), ...applied.map((it) => it.name)].toSorted().join('\n');
  }
});
