import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { inTransaction } from '../../src/database/statement.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { queueHeldSummaries } from '../../src/services/delivery/held-summary.ts';
import { openPurgeRound } from '../../src/services/maintenance/purge.ts';
import { countWaiting } from '../../src/services/maintenance/purge-preview.ts';
import { runMaintenanceOnce } from '../../src/services/maintenance/run-maintenance.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { ruffinweb } from '../support/program.ts';
import { runHere, withoutColours } from './terminal.ts';

interface Rule {
  rule: string;
  form: string | null;
  days: number | null;
  due: number;
  removed: number;
  waiting: number;
  nextAt: string | null;
}

describe('purge', () => {
  const settings = { RETENTION_DAYS: '365' };
  let db: TestDatabase;
  let context: Context;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db, settings);
    await db.query(`insert into forms (id, slug, retention_days) values (gen_random_uuid(), 'jobs', 30)`);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    await db.query('truncate recent_posts, message_keys');
  });

  const run = (...args: string[]) => runHere(['purge', ...args], db, { settings });
  const rules = async (...args: string[]): Promise<Rule[]> => {
    const { code, stdout, stderr } = await run(...args, '--json');
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    return JSON.parse(stdout).items;
  };
  const rule = (items: Rule[], name: string, form: string | null = null) =>
    items.find((it) => it.rule === name && it.form === form);
  /** Messages whose mail has been sent, so many days old. */
  const aged = async (days: readonly number[], changes: Parameters<typeof buildMessages>[2] = () => ({})) => {
    const stored = await buildMessages(context, days.length, changes);
    await settleDue(context, () => mailOutcomes.accepted);
    return await Promise.all(stored.map(({ id }, index) => db.age(id, days[index] ?? 0)));
  };
  /** So many more of the same age, without mail. */
  const copies = async (id: string, count: number) =>
    await db.query(
      `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
         'id', left($1, 14) || lpad(to_hex(n), 4, '0') || substr($1, 19), 'receipt', 'RW-' || lpad(n::text, 10, '0'))) as m
       from messages, generate_series(4096, 4096 + $2::int - 1) as n) as copies`,
      [id, count],
    );
  const left = async () => (await db.query<{ id: string }>('select id from messages order by id')).map((it) => it.id);

  it('removes messages past retention, but not on a dry run', async () => {
    const [old, young, oldJob, youngJob] = await aged([366, 364, 31, 29]);
    await db.query(`update messages set form_id = (select id from forms where slug = 'jobs') where id in ($1, $2)`, [
      oldJob,
      youngJob,
    ]);
    const planned = await rules('--dry-run');
    expect(rule(planned, 'messages', 'contact')).to.include({ days: 365, due: 1, removed: 0, waiting: 0 });
    expect(rule(planned, 'messages', 'jobs')).to.include({ days: 30, due: 1, removed: 0, waiting: 0 });
    expect(rule(planned, 'senders')?.due).to.equal(2);
    const [next] = await db.query<{ at: Date }>(
      `select received_at + interval '365 days' as at from messages where id = $1`,
      [young],
    );
    expect(rule(planned, 'messages', 'contact')?.nextAt).to.equal(next?.at.toISOString());
    expect(await left()).to.have.lengthOf(4);

    const done = await rules();
    expect(rule(done, 'messages', 'contact')).to.include({ due: 0, removed: 1 });
    expect(rule(done, 'messages', 'jobs')).to.include({ due: 0, removed: 1 });
    expect(rule(done, 'senders')?.removed).to.equal(2);
    expect(await left())
      .to.have.members([young, youngJob])
      .and.not.include(old);
    expect([await db.count('senders'), await db.count('emails'), await db.count('attempts')]).to.deep.equal([2, 4, 4]);
    expect((await rules()).every((it) => it.removed === 0)).to.equal(true);
    expect(
      await db.query(`select from duties where name = 'purge' and done_at > now() - interval '1 minute'`),
    ).to.have.lengthOf(1);
  });

  it('keeps messages for ever by default', async () => {
    await aged([4000]);
    const { stdout } = await runHere(['purge', '--json'], db);
    expect(rule(JSON.parse(stdout).items, 'messages', 'contact')).to.include({ days: 0, removed: 0, nextAt: null });
    expect(await db.count('messages')).to.equal(1);
  });

  it('never removes a message that no owner was told about', async () => {
    const stored = await buildMessages(context, 3);
    await settleDue(context, ({ kind, message }) => {
      if (message?.id === stored[0]?.id) return mailOutcomes.later;
      return message?.id === stored[1]?.id && kind === 'notification' ? mailOutcomes.refused : mailOutcomes.accepted;
    });
    for (const { id } of stored) await db.age(id, 400);
    const done = await rules();
    expect(rule(done, 'messages', 'contact')).to.include({ removed: 1, due: 0, waiting: 2 });
    const { stdout, stderr } = await run();
    expect(stdout)
      .to.match(/WAITING/)
      .and.match(/messages +contact +365 days +0 +2\n/);
    expect(stderr).to.include('2 past their time are kept').and.include('emails cancel');
    await db.query(`update emails set state = 'cancelled' where state in ('failed', 'queued')`);
    expect(rule(await rules(), 'messages', 'contact')).to.include({ removed: 2, waiting: 0 });
  });

  it('keeps a message while a worker has its mail', async () => {
    const [message] = await buildMessages(context, 1);
    await db.age(message?.id ?? '', 400);
    const { rows: emails } = await claimDue(openScope(context), 10);
    expect(emails).to.have.lengthOf(2);
    expect(rule(await rules(), 'messages', 'contact')).to.include({ removed: 0, waiting: 1 });
  });

  it('removes held messages 90 days after they were held by hand', async () => {
    const [spam, byHand] = await aged([91, 91], (index) => (index === 0 ? { _gotcha: 'x' } : {}));
    await runHere(['messages', 'hold', byHand ?? ''], db);
    await queueHeldSummaries(openScope(context), new Date(0), new Date());
    await settleDue(context, () => mailOutcomes.accepted);
    const done = await rules();
    expect(rule(done, 'held', 'contact')).to.include({ days: 90, removed: 1 });
    expect(await left())
      .to.deep.equal([byHand])
      .and.not.include(spam);
    await runHere(['messages', 'release', byHand ?? ''], db);
    expect(await db.query('select held_at from messages')).to.deep.equal([{ held_at: null }]);
  });

  it('deletes client addresses after 30 days', async () => {
    const [old, young] = await aged([31, 29]);
    expect(rule(await rules('--dry-run'), 'client-addresses')).to.include({ days: 30, due: 1 });
    expect(rule(await rules(), 'client-addresses')).to.include({ removed: 1, due: 0 });
    expect(await db.query('select id, client_address is null as gone from messages order by id')).to.deep.equal([
      { id: old, gone: true },
      { id: young, gone: false },
    ]);
  });

  it('keeps blocked senders and suppressions for ever', async () => {
    await aged([400]);
    await runHere(['senders', 'block', '--email', 'ada@example.test'], db);
    await db.query(`insert into suppressions values ('\\x01', now() - interval '9 years')`);
    expect(rule(await rules(), 'senders')).to.include({ removed: 0, due: 0 });
    const { stdout } = await runHere(['senders', 'show', '--email', 'ada@example.test', '--json'], db);
    expect(JSON.parse(stdout)).to.include({ email: 'ada@example.test', name: null, messages: 0 });
    expect(await db.query('select from suppressions')).to.have.lengthOf(1);
  });

  it('removes senders of deleted messages', async () => {
    const addresses = ['ada@example.test', 'bea@example.test', 'cora@example.test'];
    const [first = '', second = ''] = await aged([0, 0, 0], (i) => ({ name: 'A Name', email: addresses[i] ?? '' }));
    await runHere(['senders', 'block', '--email', 'bea@example.test'], db);
    await runHere(['messages', 'delete', first, second, '--yes'], db);
    const forEver = async (...args: string[]) =>
      JSON.parse((await runHere(['purge', ...args, '--json'], db)).stdout).items as Rule[];
    expect(rule(await forEver('--dry-run'), 'senders')).to.include({ due: 1 });
    expect(rule(await forEver(), 'senders')).to.include({ removed: 1 });
    const senders = await db.query(
      'select name is null as nameless, blocked_at is not null as blocked from senders order by 1',
    );
    expect(senders).to.deep.equal([
      { nameless: false, blocked: false },
      { nameless: true, blocked: true },
    ]);
  });

  it('runs on one server once an hour, batch by batch, to the end', async () => {
    const [first = ''] = await aged([400]);
    await copies(first, 450);
    await db.query('update senders set message_count = 451');
    await Promise.all(Array.from({ length: 3 }, () => runMaintenanceOnce(context)));
    expect([await db.count('messages'), await db.count('senders')]).to.deep.equal([0, 0]);

    await aged([400]);
    await runMaintenanceOnce(context);
    expect(await db.count('messages'), 'not twice in an hour').to.equal(1);
    await db.query(`update duties set done_at = now() - interval '61 minutes' where name = 'purge'`);
    await runMaintenanceOnce(context);
    expect(await db.count('messages')).to.equal(0);
  });

  it('is skipped if two clocks differ by more than an hour', async () => {
    await aged([400]);
    const hourMs = 60 * 60_000;
    for (const [aheadMs, left] of [
      [-2 * hourMs, 1],
      [2 * hourMs, 1],
      [hourMs / 2, 0],
    ] as const) {
      const lines: object[] = [];
      const log = {
        ...context.log,
        child: () => log,
        warn: (line: object) => lines.push(line),
      } as unknown as Context['log'];
      await runMaintenanceOnce({ ...context, log, now: () => new Date(Date.now() + aheadMs) });
      expect(await db.count('messages'), String(aheadMs)).to.equal(left);
      expect(JSON.stringify(lines).includes('databaseAheadSeconds'), String(aheadMs)).to.equal(left === 1);
    }
  });

  it('by hand removes nothing either while the two clocks differ', async () => {
    await aged([10]);
    await db.query('create schema ahead');
    for (const clock of ['now', 'clock_timestamp']) {
      await db.query(`create function ahead.${clock}() returns timestamptz language sql stable
        as $$ select pg_catalog.${clock}() + interval '400 days 6 hours' $$`);
    }
    await db.query(`alter database ${db.name} set search_path = ahead, pg_catalog, public`);
    try {
      const refused = await run();
      expect(await db.count('messages')).to.equal(1);
      expect(refused).to.include({ code: 1, stdout: '' });
      expect(refused.stderr).to.include('nothing was removed: the clock of the database is 400 d ahead of');
      const dry = await run('--dry-run');
      expect(dry.code).to.equal(0);
      expect(dry.stderr).to.include('400 d ahead of');
    } finally {
      await db.query(`alter database ${db.name} reset search_path`);
      await db.query('drop schema ahead cascade');
    }
    expect((await run()).code).to.equal(0);
  });

  it('continues where it stopped, 200 messages at a time', async () => {
    const [first = ''] = await aged([400]);
    await copies(first, 401);
    // Nobody was notified about the first 402; only the last one may be removed.
    await db.query(
      `insert into emails (id, kind, state, message_id, recipient, due_at, internet_message_id, created_at)
       select gen_random_uuid(), 'notification', 'failed', id, 'owner@site.test', now(), '<x@site.test>', now()
       from messages where id <> $1`,
      [first],
    );
    await db.query(`update emails set state = 'failed' where message_id = $1`, [first]);
    const [last = ''] = await aged([399]);
    const round = await openPurgeRound(openScope(context));
    const gone = [];
    while (!round.isDone) {
      const { messages } = await inTransaction(context.orm.em, async (em) => await round.runBatch({ em }));
      gone.push(messages.map((it) => it.id));
    }
    expect(gone.slice(0, 3)).to.deep.equal([[], [], [last]]);
    expect(await countWaiting(openScope(context))).to.equal(402);
  });

  it('prints a table, and refuses unknown options', async () => {
    await aged([400]);
    const screen = await runHere(['purge', '--dry-run'], db, { settings, columns: 80 });
    const table = withoutColours(screen.stdout);
    expect(table)
      .to.match(/^RULE +FORM +KEPT +WOULD GO +NEXT\nmessages +contact +365 days +1/)
      .and.match(/senders +with a message +1/);
    expect(table.split('\n').every((line) => line.length <= 80)).to.equal(true);
    const oneDay = { settings: { ...settings, RETENTION_DAYS: '1' }, columns: 80 };
    expect(withoutColours((await runHere(['purge', '--dry-run'], db, oneDay)).stdout)).to.match(/ 1 day /);
    const program = await ruffinweb(['purge', '--older-than', '1d'], { DATABASE_URL: db.url });
    expect(program.code).to.equal(2);
    const wrong = await ruffinweb(['purge'], { DATABASE_URL: db.url, RETENTION_DAYS: '1y' });
    expect(wrong).to.include({ code: 2 });
    expect(wrong.stderr).to.include('RETENTION_DAYS must be a whole number of days');
    expect(await db.count('messages')).to.equal(1);
  });
});
