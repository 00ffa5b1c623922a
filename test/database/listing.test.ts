import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { listEmails } from '../../src/services/emails/emails.ts';
import { listMessages } from '../../src/services/messages/messages.ts';
import type { Page } from '../../src/services/paging.ts';
import { openScope, type Scope } from '../../src/services/scope.ts';
import { listSenders } from '../../src/services/senders/senders.ts';
import { openTestContext, recordStatements } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

interface Plan {
  'Node Type': string;
  'Index Name'?: string;
  'Relation Name'?: string;
  'Sort Key'?: string[];
  'Plan Rows': number;
  Plans?: Plan[];
}

/** Each page costs the same: it is read from an index in list order instead of sorting everything. */
describe('a page of a list', () => {
  let db: TestDatabase;
  let context: Context;
  let scope: Scope;
  let asked: string[] = [];

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
    scope = openScope(context);
    await fill(db);
    asked = await recordStatements(context);
    const [row] = await db.query<{ sender_id: string }>('select sender_id from messages limit 1');
    sender = row?.sender_id ?? '';
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  const day = 24 * 60 * 60 * 1000;
  const period = { since: new Date(Date.now() - 20 * day), until: new Date(Date.now() - 5 * day) };
  let sender = '';

  const lists: [what: string, index: RegExp, list: (cursor?: string) => Promise<Page<{ id: string }>>][] = [
    ['senders', /^senders_last_message_at/, (cursor) => listSenders(scope, page(cursor))],
    ['messages', /^messages_pkey$/, (cursor) => listMessages(scope, page(cursor))],
    ['messages of a form', /^messages_form/, (cursor) => listMessages(scope, { form: 'rare', ...page(cursor) })],
    [
      'messages of the one form of a key',
      /^messages_form/,
      (cursor) => listMessages(scope, { within: [rareForm], ...page(cursor) }),
    ],
    ['messages held', /^messages_status/, (cursor) => listMessages(scope, { status: 'held', ...page(cursor) })],
    [
      'messages held of a form',
      /^messages_(status|form)/,
      (cursor) => listMessages(scope, { status: 'held', form: 'contact', ...page(cursor) }),
    ],
    ['messages of a sender', /^messages_sender/, (cursor) => listMessages(scope, { sender, ...page(cursor) })],
    ['messages of a time', /^messages_pkey$/, (cursor) => listMessages(scope, { ...period, ...page(cursor) })],
    [
      'messages of a form and a time',
      /^messages_form/,
      (cursor) => listMessages(scope, { form: 'rare', ...period, ...page(cursor) }),
    ],
    ['emails', /^emails_pkey$/, (cursor) => listEmails(scope, page(cursor))],
    ['emails of a state', /^emails_state/, (cursor) => listEmails(scope, { state: 'failed', ...page(cursor) })],
    ['emails of a kind', /^emails_kind/, (cursor) => listEmails(scope, { kind: 'held-summary', ...page(cursor) })],
    [
      'emails of a state and a kind',
      /^emails_(state|kind)/,
      (cursor) => listEmails(scope, { state: 'failed', kind: 'notification', ...page(cursor) }),
    ],
    ['emails of a time', /^emails_pkey$/, (cursor) => listEmails(scope, { ...period, ...page(cursor) })],
  ];

  for (const [what, index, list] of lists) {
    it(`of ${what} is read from an index in its order`, async () => {
      const first = await list();
      expect(first.items).to.have.lengthOf(5);
      const deep = await list(first.next ?? '');
      expect(deep.items).to.have.lengthOf(5);
      expect(deep.items[0]?.id).to.not.equal(first.items.at(-1)?.id);
      const question = asked.findLast((it) => / limit 6$/.test(it)) ?? '';
      const [row] = await db.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`explain (format json) ${question}`);
      const nodes = flatten((row as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan);
      const told = JSON.stringify(nodes.map(({ Plans: _, ...node }) => node));
      expect(
        nodes.some((it) => index.test(it['Index Name'] ?? '')),
        told,
      ).to.equal(true);
      expect(
        nodes.filter((it) => /Sort/.test(it['Node Type'])),
        told,
      ).to.deep.equal([]);
      expect(
        nodes.filter((it) => it['Node Type'] === 'Seq Scan' && it['Relation Name'] !== 'forms'),
        told,
      ).to.deep.equal([]);
    });
  }
});

const rareForm = '01a20000-0000-7000-8000-00000000f0f0';

function page(cursor: string | undefined) {
  return { limit: 5, ...(cursor !== undefined && { cursor }) };
}

function flatten(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(flatten)];
}

/** Twenty thousand messages of one month; 1 % have another form, 1 % are held. Not decryptable. */
async function fill(db: TestDatabase): Promise<void> {
  const id = (prefix: string) =>
    `(lpad(to_hex(((extract(epoch from now()) - (20000 - n) * 130) * 1000)::bigint), 12, '0') || '7${prefix}0' || lpad(to_hex(n), 16, '8'))::uuid`;
  await db.query(`insert into forms (id, slug, name) select '${rareForm}', 'rare', 'Rare'`);
  await db.query(
    `insert into senders (id, address_index, address, message_count, first_message_at, last_message_at)
     select ${id('00')}, decode(lpad(to_hex(n), 64, '0'), 'hex'), '\\x00', 1, now(), now() - n * interval '1 second'
     from generate_series(1, 1000) as n`,
  );
  await db.query(
    `insert into messages (id, receipt, form_id, sender_id, status, content, received_at)
     select ${id('01')}, 'RW-' || lpad(n::text, 10, '0'),
       case when n % 100 = 0 then '${rareForm}'::uuid else (select id from forms where slug = 'contact') end,
       (select senders.id from senders where address_index = decode(lpad(to_hex(n % 1000 + 1), 64, '0'), 'hex')),
       case when n % 100 = 50 then 'held' else 'accepted' end, '\\x00', now() - (20000 - n) * interval '130 seconds'
     from generate_series(1, 20000) as n`,
  );
  await db.query(
    `insert into emails (id, kind, state, message_id, recipient, due_at, internet_message_id, created_at)
     select ${id('02')}, case when n % 100 = 7 then 'held-summary' else 'notification' end,
       case when n % 100 = 9 then 'failed' else 'sent' end, messages.id, 'owner@example.test', now(), '<' || n || '@example.test>',
       received_at
     from (select *, row_number() over (order by id) as n from messages) as messages`,
  );
  await db.query('analyze senders, messages, emails, forms');
}
