import { expect } from 'chai';
import { mailCountsStatement } from '../../src/services/health/mail-counts.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

describe('mail counts of ten thousand emails', () => {
  let db: TestDatabase;

  before(async () => {
    db = await createDatabase();
    await db.query(
      `insert into emails (id, kind, state, recipient, due_at, internet_message_id, created_at)
       select gen_random_uuid(), 'held-summary', case when n % 100 = 0 then 'failed' else 'sent' end,
         'owner@site.test', now(), '<' || n || '@site.test>', now() from generate_series(1, 10000) as n;
       analyze emails`,
    );
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });

  it('are read from indexes, without the sent emails', async () => {
    const [row] = await db.query<{ 'QUERY PLAN': unknown }>(`explain (format json) ${mailCountsStatement.text}`, [
      null,
      1000,
    ]);
    const plan = JSON.stringify(row?.['QUERY PLAN']);
    expect(plan).to.include('emails_state_id_index');
    expect(plan).to.not.match(/"Node Type":"Seq Scan"[^{}]*"Relation Name":"emails"/);
  });
});
