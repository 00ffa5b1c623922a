import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { numbersStatement, openSentCount } from '../../src/services/health/mail-counts.ts';
import { openScope } from '../../src/services/scope.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

describe('the numbers of ten thousand emails', () => {
  let db: TestDatabase;
  let context: Context;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
    await db.query(
      `insert into emails (id, kind, state, recipient, due_at, internet_message_id, created_at)
       select gen_random_uuid(), 'held-summary', case when n % 100 = 0 then 'failed' else 'sent' end,
         'owner@site.test', now(), '<' || n || '@site.test>', now() from generate_series(1, 10000) as n;
       analyze emails`,
    );
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  it('are read by indexes, without the many that were sent', async () => {
    const [row] = await db.query<{ 'QUERY PLAN': unknown }>(`explain (format json) ${numbersStatement.text}`, [
      null,
      1000,
      ['queued', 'failed', 'cancelled', 'held'],
    ]);
    const plan = JSON.stringify(row?.['QUERY PLAN']);
    expect(plan).to.include('emails_state_id_index');
    expect(plan).to.not.match(/"Node Type":"Seq Scan"[^{}]*"Relation Name":"emails"/);
  });

  it('count those that were sent by some at a time, and tell them once all were counted', async () => {
    const scope = openScope(context);
    const count = openSentCount(4000);
    const looks = [];
    for (let i = 0; i < 3; i++) looks.push((await count.look(scope))?.get('held-summary'));
    expect(looks).to.deep.equal([undefined, undefined, 9900]);
    await db.query(`update emails set state = 'sent' where state = 'failed'`);
    for (let i = 0; i < 3; i++) looks.push((await count.look(scope))?.get('held-summary'));
    expect(looks.slice(3), 'of before until the next end').to.deep.equal([9900, 9900, 10000]);
    expect(await count.look(scope)).to.include.keys('notification', 'auto-reply');
    // An end that falls on the last of a look is found by the next one.
    const even = openSentCount(10_000);
    expect([await even.look(scope), (await even.look(scope))?.get('held-summary')]).to.deep.equal([undefined, 10_000]);
  });
});
