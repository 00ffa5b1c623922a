import { expect } from 'chai';
import pg from 'pg';
import type { Context } from '../../src/context.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { decideNextStep } from '../../src/services/delivery/retry-schedule.ts';
import { settleEmails } from '../../src/services/delivery/settle-emails.ts';
import { purge } from '../../src/services/maintenance/purge.ts';
import { openScope } from '../../src/services/scope.ts';
import { type Erased, eraseSender } from '../../src/services/senders/erase-sender.ts';
import { clientOf, submission } from '../support/api.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { until } from '../support/until.ts';

describe("deleting visitors' data", () => {
  let db: TestDatabase;
  let context: Context;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let settings: Settings;

  beforeEach(async () => {
    db = await createDatabase();
    folder = await temporaryFolder();
    context = await openTestContext(db);
    settings = { DATABASE_URL: db.url, DATA_DIR: folder.path, RETENTION_DAYS: '365' };
  });
  afterEach(async () => {
    await context[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  /** 451 messages of one person, 400 days old; the newest one's mail is in the last batch of any run. */
  async function build(): Promise<void> {
    const [stored] = await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.accepted);
    const id = await db.age(stored?.id ?? '', 400);
    await db.query(
      `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
         'id', '00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'), 'receipt', 'RW-' || lpad(n::text, 10, '0'))) as m
       from messages, generate_series(1, 450) as n where messages.id = $1) as copies`,
      [id],
    );
    await db.query('update senders set message_count = 451');
  }

  /** Kills a command once it has reached the mail of the newest message. */
  async function killMidway(args: string[]): Promise<void> {
    const lock = await db.lockRows('emails');
    await using running = await RunningServer.startCommand(args, settings);
    await until('it waits for the last batch', async () => {
      const waiting = await db.query(
        `select 1 from pg_stat_activity where datname = $1 and application_name like 'ruffinweb%' and wait_event_type = 'Lock'`,
        [db.name],
      );
      return waiting.length > 0;
    });
    expect((await running.stop('SIGKILL')).signal).to.equal('SIGKILL');
    await lock.release();
    await until('the database has noticed', async () => {
      const left = await db.query(
        `select 1 from pg_stat_activity where datname = $1 and query ~ 'for update' and state <> 'idle' and pid <> pg_backend_pid()`,
        [db.name],
      );
      return left.length === 0;
    });
    expect(await db.count('messages'), 'the earlier batches are gone').to.equal(51);
    expect(await db.count('emails')).to.equal(2);
    expect(await db.query('select message_count as count from senders')).to.deep.equal([{ count: 51 }]);
  }

  it('a killed "purge" continues where it stopped', async () => {
    await build();
    await killMidway(['purge']);
    const again = await ruffinweb(['purge', '--json'], settings);
    expect(again.code, again.stderr).to.equal(0);
    expect(JSON.parse(again.stdout).items[0]).to.include({ rule: 'messages', removed: 51 });
    expect([await db.count('messages'), await db.count('senders'), await db.count('emails')]).to.deep.equal([0, 0, 0]);
  });

  it('a killed "senders erase" is repeated, and recorded only at its end', async () => {
    await build();
    const erase = ['senders', 'erase', '--email', 'ada@example.test', '--yes', '--json'];
    await killMidway(erase);
    expect(await db.query('select from erasures')).to.have.lengthOf(0);
    const again = await ruffinweb(erase, settings);
    expect(again.code, again.stderr).to.equal(0);
    expect(JSON.parse(again.stdout)).to.include({ messages: 51, emails: 2, logged: true });
    expect([await db.count('messages'), await db.count('senders'), await db.count('emails')]).to.deep.equal([0, 0, 0]);
    expect(await db.query('select from erasures')).to.have.lengthOf(1);
  });

  it('a server purges on its own and logs the numbers', async () => {
    await build();
    await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
    await server.said(/purged expired data/);
    expect([await db.count('messages'), await db.count('senders'), await db.count('emails')]).to.deep.equal([0, 0, 0]);
    const line = server.log.split('\n').find((it) => it.includes('purged expired')) ?? '';
    expect(JSON.parse(line)).to.include({ messages: 451, senders: 1 });
  });

  it('erasing and settling one mail at once: neither fails', async () => {
    await buildMessages(context, 1);
    // PostgreSQL aborts the first to detect the deadlock, which is the eraser: its connection is the older one.
    await db.query(`alter database ${db.name} set deadlock_timeout = '1min'`);
    await using own = await openTestContext(db);
    const scope = openScope(own);
    const { rows: emails } = await claimDue(scope, 10);
    const [first, second] = emails.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const other = new pg.Client({ connectionString: db.url });
    await other.connect();
    await other.query('begin');
    await other.query('select from emails where id = $1 for update', [first?.id]);
    const erasing = eraseSender(openScope(context), { email: 'ada@example.test' });
    // The eraser waits for the first row.
    await db.waitingForLocks(1);
    const settling = settleEmails(
      scope,
      [second, first].flatMap((email) => {
        const outcome = mailOutcomes.accepted;
        return email ? [{ row: email, startedAt: scope.now(), outcome, next: decideNextStep(email, outcome, 0) }] : [];
      }),
    );
    // The settling worker has the second row, and waits too.
    await db.waitingForLocks(2);
    await other.query('rollback');
    await other.end();
    await settling;
    expect(await erasing).to.include({ messages: 1, emails: 2 });
    expect([await db.count('messages'), await db.count('senders'), await db.count('emails')]).to.deep.equal([0, 0, 0]);
  });

  it('rejects no post and miscounts nothing under load', async () => {
    await build();
    // Ten more people with thirty old messages each.
    const stored = await buildMessages(context, 10, (index) => ({ email: `p${index}@example.test` }));
    await settleDue(context, () => mailOutcomes.accepted);
    for (const [index, { id }] of stored.entries()) {
      await db.query(
        `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
           'id', '00000000-0000-7000-9000-' || lpad(to_hex($2 * 1000 + n), 12, '0'),
           'receipt', 'RX-' || lpad(($2 * 1000 + n)::text, 10, '0'), 'received_at', now() - interval '400 days')) as m
         from messages, generate_series(1, 30) as n where messages.id = $1) as copies`,
        [id, index],
      );
    }
    await db.query('update senders set message_count = (select count(*) from messages where sender_id = senders.id)');
    await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
    const http = clientOf(server.url);
    await using one = await openTestContext(db, settings);
    await using two = await openTestContext(db, settings);
    const contexts = [one, two];
    const { signal } = new AbortController();
    const erased: Erased[] = [];
    const [answers] = await Promise.all([
      Promise.all(
        Array.from({ length: 200 }, (_, n) =>
          http.post('/api/messages', submission({ email: `p${n % 10}@example.test`, message: `Number ${n}` })),
        ),
      ),
      ...contexts.map((it) => purge(openScope(it), signal)),
      ...contexts.map(async (it) => {
        for (const person of [0, 1, 0, 1]) {
          const email = `p${person}@example.test`;
          // The sender is missing for a moment after the other task erased it.
          await eraseSender(openScope(it), { email }).then(
            (done) => erased.push(done),
            (error: Error & { code?: string }) => expect(error.code).to.equal('sender-unknown'),
          );
        }
      }),
    ]);
    expect([...new Set(answers.map((it) => it.status))]).to.deep.equal([201]);
    expect(erased.length).to.be.at.least(2);
    const wrong = await db.query(
      `select id, message_count, (select count(*)::int from messages where sender_id = senders.id) as real from senders
       where message_count <> (select count(*) from messages where sender_id = senders.id) or message_count = 0`,
    );
    expect(wrong).to.deep.equal([]);
    expect(await db.query(`select 1 from messages where received_at < now() - interval '365 days'`)).to.have.lengthOf(
      0,
    );
    const [kept] = await db.query<{ count: number }>(
      `select count(*)::int from messages join senders on senders.id = sender_id where receipt = any($1)`,
      [answers.filter((_, n) => n % 10 > 1).map((it) => it.json.receipt)],
    );
    expect(kept?.count, 'every post of the people who were not erased').to.equal(160);
  });
});
