import { expect } from 'chai';
import type { Mailer, Outcome } from '../../src/mail/mailer.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { buildMessages, deliverDue } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

const accepted: Outcome = { result: 'accepted', code: 250, reply: '250 ok' };

/** A mailer with two lanes that keeps every mail until it is let go, but for so many at first. */
function slowMailer(swift: number) {
  const held: (() => void)[] = [];
  const begun: string[] = [];
  const mailer: Mailer = {
    lanes: 2,
    describes: 'a test',
    async send({ id }) {
      begun.push(id);
      if (swift-- > 0) return accepted;
      return await new Promise((resolve) => held.push(() => resolve(accepted)));
    },
    verify: async () => accepted,
    walk: async () => ({ outcome: accepted, certificateEndsAt: undefined }),
    [Symbol.asyncDispose]: async () => {},
  };
  return {
    mailer,
    held,
    begun,
    /** From now on none is kept. */
    letAllGo() {
      swift = Number.POSITIVE_INFINITY;
      for (const go of held.splice(0)) go();
    },
    /** Lets one go that is kept, and so many that come after it. */
    letGo(more: number) {
      swift = more;
      held.shift()?.();
    },
  };
}

/** The two clocks of this process, as they would be later, or where one was set. */
function shiftedClocks() {
  const [date, steady] = [Date.now, performance.now.bind(performance)];
  return {
    shift(ms: number, steadyMs = ms) {
      Date.now = () => date() + ms;
      performance.now = () => steady() + steadyMs;
    },
    [Symbol.dispose]() {
      Date.now = date;
      performance.now = steady;
    },
  };
}

describe('mail that a worker has claimed ahead', () => {
  let db: TestDatabase;
  let context: MailingContext;

  before(async () => {
    db = await createDatabase();
    context = await openTestMailing(db, { NOTIFY_TO: 'owner@site.test' });
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  const build = async (count: number) => {
    await buildMessages(context, count);
    await db.query(`delete from emails where kind = 'auto-reply'`);
  };
  const leased = async () => {
    const rows = await db.query('select from emails where lease_token is not null');
    return rows.length;
  };

  it('starts as soon as a lane is free, and never busy-waits', async () => {
    await build(14);
    const server = slowMailer(6);
    using clocks = shiftedClocks();
    const delivering = deliverDue({ ...context, mailer: server.mailer });
    await until('both lanes are taken, and four wait', async () => server.held.length === 2 && (await leased()) === 6);
    clocks.shift(1500);
    // Three wait no more; of those that take their place each has two seconds.
    server.letGo(2);
    await until('two more wait', async () => server.held.length === 2 && (await leased()) === 5);
    clocks.shift(2500);
    const before = server.begun.length;
    const used = process.cpuUsage();
    server.letGo(0);
    // Where it was not begun the loop asked again and again for a second, and let nothing else happen in this process.
    await until('the next one is begun', () => server.begun.length > before);
    expect(process.cpuUsage(used).user, 'microseconds').to.be.below(400_000);
    server.letAllGo();
    await delivering;
    expect(await db.emails()).to.deep.equal({ 'notification sent': 14 });
    expect(new Set(server.begun).size).to.equal(14);
  });

  it('does not start if another worker may have it, on any clock', async () => {
    await build(12);
    const [server, other] = [slowMailer(6), slowMailer(Number.POSITIVE_INFINITY)];
    using clocks = shiftedClocks();
    const delivering = deliverDue({ ...context, mailer: server.mailer });
    await until('both lanes are taken, and four wait', async () => server.held.length === 2 && (await leased()) === 6);
    clocks.shift(-3_600_000, 2500);
    // The lanes are taken for longer than a lease.
    await db.makeAllDue();
    await deliverDue({ ...context, mailer: other.mailer });
    server.letAllGo();
    await delivering;
    const twice = server.begun.filter((id) => other.begun.includes(id));
    expect(twice, 'what was in the lanes alone').to.deep.equal(server.begun.slice(6, 8));
    expect(await db.emails()).to.deep.equal({ 'notification sent': 12 });
  });
});
