import { expect } from 'chai';
import type { MailingContext } from '../../src/mailing-context.ts';
import { buildMessages } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { buildHook, makeDeliveriesDue } from '../support/deliveries.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { chaosSeed, randomFrom } from '../support/random.ts';
import { Receiver } from '../support/receiver.ts';

const seed = chaosSeed();
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
});
