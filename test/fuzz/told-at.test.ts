import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { migrateDown, migrateUp } from '../../src/database/migrate.ts';
import { fillSummaries } from '../../src/database/migrations/20261130100000_told_at.ts';
import { settleEmails } from '../../src/services/delivery/settle-emails.ts';
import { cancelEmails } from '../../src/services/emails/cancel-emails.ts';
import { openScope } from '../../src/services/scope.ts';
import { mailOutcomes } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { randomFrom } from '../support/random.ts';

const notifyTo = 'owner@site.test';
const hourMs = 60 * 60_000;

interface History {
  forms: { id: string; slug: string; recipients: string[] | null }[];
  summaries: { id: string; recipient: string; created_at: Date; state: string; failure: string | null }[];
  messages: { id: string; form_id: string; receipt: string; received_at: Date; held_at: Date | null }[];
}

describe('told_at against the rule of release 0.2.0', () => {
  let db: TestDatabase;
  let context: Context;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db, { NOTIFY_TO: notifyTo });
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  it('agrees in 1,000 generated histories', async () => {
    const random = randomFrom(20_261_130);
    const seen = { told: 0, untold: 0, onlyByLastSeconds: 0 };
    for (let batch = 0; batch < 10; batch++) {
      const { summaries, messages } = await insertHistories(random);
      const old = await toldByOldRule();
      const expected = [...new Set([...old, ...(await listedInLastSeconds())])].toSorted();

      await db.query(fillSummaries[0] ?? '');
      await endByThisRelease(summaries);
      expect(await told()).to.deep.equal(expected);

      seen.told += old.length;
      seen.untold += messages.length - expected.length;
      seen.onlyByLastSeconds += expected.length - old.length;
    }
    for (const [kind, count] of Object.entries(seen)) expect(count, kind).to.be.greaterThan(20);
  });

  for (const migration of ['20261210120000_summaries_of_0_2', '20261130100000_told_at']) {
    it(`is filled by the migration ${migration}`, async () => {
      while ((await migrateDown(context.orm))[0] !== migration) {}
      await insertHistories(randomFrom(7));
      const expected = [...new Set([...(await toldByOldRule()), ...(await listedInLastSeconds())])].toSorted();
      // Told, and held again by 0.2.0, which did not clear the column.
      if (migration.endsWith('0_2')) await db.query(`update messages set told_at = held_at - interval '1 second'`);
      await migrateUp(context.orm);
      expect(await told()).to.deep.equal(expected);
      expect(expected).to.have.length.greaterThan(50);
      expect(await db.query(`select from emails where kind = 'held-summary' and covers_until is null`)).to.be.empty;
      expect(await db.query(`select from emails where kind <> 'held-summary' and covers_until is not null`)).to.be
        .empty;
    });
  }

  /** A hundred histories, with every message still held. In every tenth the form's owners are those of NOTIFY_TO. */
  async function insertHistories(random: () => number): Promise<History> {
    await db.query(`truncate emails, messages, senders, forms cascade`);
    const histories = Array.from({ length: 100 }, (_, index) => generateHistory(random, index));
    const all: History = {
      forms: histories.flatMap((it) => it.forms),
      summaries: histories.flatMap((it) => it.summaries),
      messages: histories.flatMap((it) => it.messages),
    };
    await db.query(
      `insert into forms (id, slug, recipients)
       select id, slug, recipients from jsonb_populate_recordset(null::forms, $1)`,
      [JSON.stringify(all.forms)],
    );
    await db.query(
      `with sender as (
         insert into senders (id, address_index, address, message_count, first_message_at, last_message_at)
         values (gen_random_uuid(), '\\x01', '\\x01', 1, now(), now()) returning id
       )
       insert into messages (id, receipt, form_id, sender_id, status, content, received_at, held_at)
       select given.id, receipt, form_id, sender.id, 'held', '\\x01', received_at, held_at
       from jsonb_populate_recordset(null::messages, $1) as given, sender`,
      [JSON.stringify(all.messages)],
    );
    await db.query(
      `insert into emails (id, kind, state, failure, recipient, due_at, internet_message_id, created_at)
       select id, 'held-summary', state, failure, recipient, created_at, id::text, created_at
       from jsonb_populate_recordset(null::emails, $1)`,
      [JSON.stringify(all.summaries)],
    );
    await db.query(
      `insert into emails (id, kind, state, message_id, recipient, due_at, internet_message_id, created_at)
       select gen_random_uuid(), 'notification', 'held', messages.id, owner, received_at, messages.id::text, received_at
       from messages join forms on forms.id = form_id, unnest(coalesce(recipients, array[$1::text])) as owner`,
      [notifyTo],
    );
    // As autovacuum does on a real server; without it the plans take ten times as long.
    await db.query('analyze forms, messages, emails');
    return all;
  }

  /** Brings every summary to its end through the doors: a worker's settling, or an operator's cancelling. */
  async function endByThisRelease(summaries: History['summaries']): Promise<void> {
    const leaseToken = randomUUID();
    const byHand = summaries.filter((it) => it.state === 'cancelled' && it.failure !== 'nothing-held');
    const sent = summaries.filter((it) => it.state === 'sent');
    await db.query(`update emails set state = 'queued', failure = null, lease_token = $2 where id = any($1)`, [
      sent.map((it) => it.id),
      leaseToken,
    ]);
    await db.query(`update emails set state = 'failed' where id = any($1)`, [byHand.map((it) => it.id)]);
    const scope = openScope(context);
    const settled = await settleEmails(
      scope,
      sent.map(({ id }) => ({
        row: { id, leaseToken, kind: 'held-summary' },
        startedAt: scope.now(),
        outcome: mailOutcomes.accepted,
        next: { state: 'sent', failure: null, waitMs: 0, counts: true },
      })),
    );
    expect(settled.size).to.equal(sent.length);
    const results = await cancelEmails(
      scope,
      byHand.map((it) => it.id),
    );
    expect(results.every((it) => it.result === 'cancelled')).to.equal(true);
  }

  /** Ids of the messages that retention may delete now. */
  async function told(): Promise<string[]> {
    return idsOf(await db.query(`select id from messages where status = 'held' and told_at is not null order by id`));
  }

  /** The same by the SQL of release 0.2.0. */
  async function toldByOldRule(): Promise<string[]> {
    return idsOf(
      await db.query(
        `with summaries as (${oldSummaries}),
         times as (
           select form_id, range_agg(tstzrange(before - interval '10 seconds', created_at - interval '10 seconds', '(]')) as times
           from summaries join (${owners}) as owners using (recipient) where is_told group by form_id
         )
         select messages.id from messages join times using (form_id)
         where status = 'held' and times @> coalesce(held_at, received_at) order by 1`,
        [notifyTo],
      ),
    );
  }

  /**
   * What began to be held in the ten seconds before a summary that was sent: the summary lists it, and so does the next
   * one. The old rule waited for the next one.
   */
  async function listedInLastSeconds(): Promise<string[]> {
    return idsOf(
      await db.query(
        `with summaries as (${oldSummaries})
         select messages.id from messages join (${owners}) as owners using (form_id) join summaries using (recipient)
         where is_told and coalesce(held_at, received_at) > greatest(before, created_at) - interval '10 seconds'
           and coalesce(held_at, received_at) <= created_at`,
        [notifyTo],
      ),
    );
  }
});

/** Of release 0.2.0: each summary, the one before it to the same recipient, and whether it counts as seen. */
const oldSummaries = `
select recipient, created_at,
  (state = 'sent'
    or (state = 'cancelled' and (failure is null or failure in ('refused', 'schedule-ended', 'outcome-unknown')))) as is_told,
  lag(created_at, 1, '-infinity') over (partition by recipient order by created_at) as before
from emails where kind = 'held-summary' and resend_of_id is null`;

const owners = `
select forms.id as form_id, owner as recipient from forms, unnest(coalesce(recipients, array[$1::text])) as owner`;

const ends = [
  ['sent', null],
  ['sent', null],
  ['queued', null],
  ['failed', 'refused'],
  ['cancelled', null],
  ['cancelled', 'schedule-ended'],
  ['cancelled', 'nothing-held'],
] as const;

/** Two forms, three people, a summary about every day, and messages held at any moment, often close to a summary. */
function generateHistory(random: () => number, index: number): History {
  const upTo = (count: number) => Math.floor(random() * count);
  const pick = <T>(all: readonly T[]) => all[upTo(all.length)] as T;
  // Histories that share NOTIFY_TO must not overlap.
  const start = Date.UTC(2020, 0, 1 + index * 14);
  const people = index % 10 === 0 ? [notifyTo] : ['a', 'b', 'c'].map((name) => `${name}${index}@site.test`);
  const forms = ['x', 'y'].map((name) => ({
    id: randomUUID(),
    slug: `${name}${index}`,
    recipients: index % 10 === 0 ? null : people.filter((_, at) => at === 0 || random() < 0.5),
  }));
  const summaries = people.flatMap((recipient) =>
    Array.from({ length: 1 + upTo(5) }, (_, day) => {
      const [state, failure] = pick(ends);
      const created_at = new Date(start + (day + 1) * 24 * hourMs + upTo(2) * upTo(hourMs));
      return { id: randomUUID(), recipient, created_at, state, failure };
    }),
  );
  const messages = Array.from({ length: 1 + upTo(8) }, () => {
    const near = () => new Date(pick(summaries).created_at.getTime() + pick([-10_001, -10_000, -9999, -1, 0, 1]));
    const any = () => new Date(start + upTo(7 * 24 * hourMs));
    const received_at = random() < 0.2 ? near() : any();
    // By hand, later than it came, and after it had been held and told once.
    const held_at = random() < 0.3 ? new Date(received_at.getTime() + upTo(3 * 24 * hourMs)) : null;
    return { id: randomUUID(), form_id: pick(forms).id, receipt: randomUUID().slice(0, 13), received_at, held_at };
  });
  return { forms, summaries, messages };
}

function idsOf(rows: { id?: string }[]): string[] {
  return rows.map((it) => it.id ?? '');
}
