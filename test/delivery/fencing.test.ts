import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { decideNextStep } from '../../src/services/delivery/retry-schedule.ts';
import { returnUnsent } from '../../src/services/delivery/return-unsent.ts';
import { settleEmails } from '../../src/services/delivery/settle-emails.ts';
import { openIntake } from '../../src/services/intake/intake.ts';
import { submitMessage } from '../../src/services/intake/submit-message.ts';
import { openScope, type Scope } from '../../src/services/scope.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { until } from '../support/until.ts';

describe('a lease', () => {
  let db: TestDatabase;
  let context: Awaited<ReturnType<typeof openTestContext>>;
  let scope: Scope;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
    scope = openScope(context);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    const values = new Map<string, unknown>([
      ['email', 'ada@example.test'],
      ['message', 'x'],
    ]);
    await using intake = openIntake(context);
    await submitMessage(scope, intake, {
      formSlug: 'contact',
      values,
      clientAddress: undefined,
      idempotencyKey: undefined,
    });
    await db.query(`delete from emails where kind = 'auto-reply'`);
    await db.makeAllDue();
  });

  const accepted = { result: 'accepted' as const, reply: '250 ok', code: 250 };
  const settle = async (email: Awaited<ReturnType<typeof claimDue>>['rows'][number] | undefined) => {
    if (email === undefined) throw new Error('nothing was claimed');
    return await settleEmails(scope, [
      { email, startedAt: new Date(), outcome: accepted, next: decideNextStep(email, accepted, 0) },
    ]);
  };

  it('is given to one worker at a time', async () => {
    const claims = await Promise.all(Array.from({ length: 8 }, () => claimDue(scope, 10)));
    expect(claims.flatMap((it) => it.rows)).to.have.lengthOf(1);
    expect((await claimDue(scope, 10)).rows).to.deep.equal([]);
  });

  it('that is lost lets its worker change nothing', async () => {
    const [frozen] = (await claimDue(scope, 10)).rows;
    await db.makeAllDue();
    const [second] = (await claimDue(scope, 10)).rows;
    expect(second?.id).to.equal(frozen?.id);
    expect(second?.leaseToken).to.not.equal(frozen?.leaseToken);

    expect([...(await settle(frozen))]).to.deep.equal([]);
    expect(await db.emails()).to.deep.equal({ 'notification queued': 1 });
    expect([...(await settle(second))]).to.deep.equal([second?.id]);
    expect(await db.emails()).to.deep.equal({ 'notification sent': 1 });
    const outcomes = await db.query('select outcome from attempts');
    expect(outcomes).to.have.deep.members([{ outcome: 'unknown' }, { outcome: 'accepted' }]);
  });

  it('that is returned unused does not count as an attempt', async () => {
    const { rows: emails } = await claimDue(scope, 10);
    await returnUnsent(
      scope,
      emails.map((it) => ({ ...it, leaseToken: randomUUID() })),
    );
    expect((await claimDue(scope, 10)).rows, 'another worker cannot').to.deep.equal([]);
    await returnUnsent(scope, emails);
    let again: Awaited<ReturnType<typeof claimDue>>['rows'] = [];
    // A moment later where the machine's clock was set back between the two.
    await until('it is due again', async () => {
      again = (await claimDue(scope, 10)).rows;
      return again.length > 0;
    });
    expect(again.map((it) => [it.id, it.tries])).to.deep.equal([[emails[0]?.id, 1]]);
    expect(await db.count('attempts')).to.equal(0);
  });

  it('of workers that keep dying ends with the retry schedule', async () => {
    await past.onLastTry(db);
    await claimDue(scope, 10);
    await db.makeAllDue();
    const last = await claimDue(scope, 10);
    expect(last.rows).to.deep.equal([]);
    expect(last.givenUp).to.have.lengthOf(1);
    expect(await db.query('select state, failure, tries from emails')).to.deep.equal([
      { state: 'failed', failure: 'outcome-unknown', tries: 9 },
    ]);
  });
});
