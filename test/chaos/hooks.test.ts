import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import pg from 'pg';
import type { Outcome } from '../../src/mail/mailer.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { createHookJob } from '../../src/services/hooks/hook-job.ts';
import { removeHook } from '../../src/services/hooks/hooks.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { buildHook, makeDeliveriesDue, queueDeliveries } from '../support/deliveries.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { randomFrom } from '../support/random.ts';
import { Receiver } from '../support/receiver.ts';

const seed = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const kills = Number(process.env.CHAOS_KILLS ?? 6);
const messages = 20;

describe('a worker of hooks that is killed under load', () => {
  let db: TestDatabase;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let receiver: Receiver;
  let settings: Settings;
  let context: MailingContext;

  before(async () => {
    console.log(`    CHAOS_SEED=${seed}`);
    db = await createDatabase();
    await db.liftHourlyLimits();
    folder = await temporaryFolder();
    receiver = await Receiver.open();
    settings = {
      DATABASE_URL: db.url,
      DATA_DIR: folder.path,
      NOTIFY_TO: 'owner@site.test',
      HOOK_ALLOW_HOSTS: '127.0.0.1',
    };
    context = await openTestMailing(db, settings);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await receiver[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  it(`${kills} times makes each delivery at least once, under one id`, async () => {
    const random = randomFrom(seed);
    await buildHook(db, context, receiver.url, { events: ['message.accepted'] });
    for (let round = 0; round < kills; round++) {
      await buildMessages(context, messages, (index) => ({
        email: `v${round}-${index}@example.test`,
        message: `${round} ${index}`,
      }));
      await makeDeliveriesDue(db);
      const before = receiver.ledger.length;
      const after = Math.floor(random() * messages);
      // In half of the rounds it waits for an answer when it dies, in the others it just got one.
      const waits = random() < 0.5;
      if (waits) receiver.answer(...Array.from({ length: after }, () => ({})), 'silence', 'silence');
      await using worker = await RunningServer.startWorker(settings);
      await receiver.received(before + after + (waits ? 1 : 0));
      await worker.stop('SIGKILL');
      receiver.forget();
    }
    await makeDeliveriesDue(db);
    expect((await ruffinweb(['deliver', '--once'], settings)).code).to.equal(0);
    const rows = await db.query<{ id: string; state: string; receipt: string }>(
      'select d.id, d.state, receipt from messages m left join hook_deliveries d on d.message_id = m.id',
    );
    expect(rows).to.have.lengthOf(kills * messages);
    const receipts = new Map<string, Set<string>>();
    for (const { headers, body } of receiver.ledger) {
      const told = receipts.get(String(headers['webhook-id'])) ?? new Set();
      receipts.set(String(headers['webhook-id']), told.add(JSON.parse(body).data.receipt));
    }
    for (const { id, state, receipt } of rows) {
      expect(state, id).to.equal('sent');
      expect([...(receipts.get(id) ?? [])], id).to.deep.equal([receipt]);
    }
    expect(receipts.size, 'no other ids').to.equal(rows.length);
    const [lost] = await db.query(`select count(*)::int from hook_attempts where outcome = 'unknown'`);
    console.log(`    ${receiver.ledger.length} requests for ${rows.length} deliveries, lost: ${JSON.stringify(lost)}`);
  }).timeout(60_000 + kills * 10_000);

  it('lets a hook be removed while its outcome is written down', async () => {
    const hook = await buildHook(db, context, receiver.url);
    await buildMessages(context, 3, (index) => ({ email: `r${index}@example.test`, message: `To remove ${index}` }));
    await queueDeliveries(db, hook);
    const [job, scope] = [createHookJob(context, hook), openScope(context)];
    const [row] = (await job.claim(scope, 1, randomUUID())).rows;
    if (row === undefined) throw new Error('nothing was claimed');
    const blocker = new pg.Client(db.url);
    await blocker.connect();
    await blocker.query('begin');
    await blocker.query('select from hook_deliveries where hook_id = $1 and id <> $2 for update', [hook.id, row.id]);
    // Has the hook, and waits for the other deliveries.
    const removed = removeHook(openScope(context), hook.name);
    await db.waitingForLocks(1);
    // Has its delivery, and waits for the hook. It looks for a deadlock only once, before there is one.
    const outcome: Outcome = { result: 'away', reply: 'no answer' };
    const settled = job.settle(scope, [
      { row, startedAt: new Date(), outcome, next: { state: 'queued', failure: null, waitMs: 5000, counts: true } },
    ]);
    await db.waitingForLocks(2);
    await pause(1200);
    await blocker.query('commit');
    await blocker.end();
    await Promise.all([removed, settled]);
    expect(await db.query('select from hooks where id = $1', [hook.id])).to.deep.equal([]);
  });
});
