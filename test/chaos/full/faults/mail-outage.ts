import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../../../support/until.ts';
import { type Fault, look, type Noticed, rowOf } from '../fault.ts';
import type { Violation } from '../judges/oracle.ts';
import { World } from '../world.ts';

/** The mail server is gone in three ways; `not now` greets with 421. */
const ways = ['refuse', 'swallow', 'not now'] as const;
const stepsPerWay = 4;
const connections = 10;

/** Two hours in twelve steps: each step lasts seconds, and then the database's times are put back by ten minutes. */
export const mailOutage: Fault = {
  id: 'mail-outage',
  title: 'no mail server for two hours: connections are refused, swallowed, then greeted with 421',
  async run({ postgres, seed, isShort }) {
    const rate = isShort ? 60 : 150;
    await using world = await World.open({ postgres, seed, rate, settings: { SMTP_CONNECTIONS: `${connections}` } });
    const { mail, mailProxy } = world.outside;
    world.startServer();
    world.startWorker();
    await world.recovers();
    let noticed: Noticed | undefined;
    for (const way of ways) {
      if (way === 'not now') mail.answer('greeting', '421 4.3.2 not now');
      mailProxy.mode = way === 'not now' ? 'pass' : way;
      // A worker that starts looks at once at what is wrong, and whether the mail server is back.
      const second = world.startWorker(1);
      for (let step = 0; step < stepsPerWay; step++) {
        await pause(isShort ? 200 : 3000);
        await tenMinutesPass(world);
      }
      if (way === 'not now') noticed = await look(world);
      await world.stopCleanly(second);
    }
    const [last] = await world.query<{ id: string }>('select id from emails order by id desc limit 1');
    const [queued] = await world.query<{ count: number }>(`select count(*)::int from emails where state = 'queued'`);
    mail.mostOpen = mail.connections.open;
    const [before, seen] = [mail.ledger.count, mail.connections.total];
    mail.reset();
    world.load.rate = 20;
    await world.recovers();
    await until(
      'the mail of the outage has left',
      async () => (await world.query(waiting, [last?.id])).length === 0,
      240_000,
    );
    const row = await rowOf(world, 1, { noticed });
    const strays = await farFromTurn(world, before, last?.id);
    const note = `Time passed by putting the database's times back. ${queued?.count} mails waited; then at most ${mail.mostOpen} connections (${seen} until then), and 19 of 20 mails left within ${strays} places of their turn`;
    return { ...row, note, violations: [...row.violations, ...judgeReturn(mail.mostOpen, strays, queued?.count ?? 0)] };
  },
};

function judgeReturn(mostOpen: number, strays: number, queued: number): Violation[] {
  const violations: Violation[] = [];
  const say = (what: string) => violations.push({ invariant: 'gentle return', what });
  // A worker that checks whether the server is back has one more.
  if (mostOpen > connections + 1) say(`${mostOpen} connections at the same time`);
  if (strays > queued / 10) say(`1 of 20 mails left more than ${strays} places from its turn`);
  return violations;
}

async function tenMinutesPass(world: World): Promise<void> {
  // Without what a mail quotes, such as the time of its message: its next copy must be the same.
  const columns = {
    emails: ['created_at', 'due_at'],
    attempts: ['started_at', 'finished_at'],
    mail_queue: ['paused_at', 'probed_at'],
    duties: ['done_at'],
    alerts: ['since', 'told_at'],
  };
  for (const [table, names] of Object.entries(columns)) {
    const changes = names.map((it) => `${it} = ${it} - interval '10 minutes'`);
    // A worker that holds a lease has its own clock. A mail that may have arrived must bear the same date again.
    const only = table === 'emails' ? `where lease_token is null and not exists (${uncertain})` : '';
    await world.query(`update ${table} set ${changes.join(', ')} ${only}`);
  }
}

const waiting = `select from emails where state = 'queued' and due_at < now() and id <= $1 limit 1`;

const uncertain = `select from attempts where email_id = emails.id and outcome = 'unknown'`;

/**
 * @param before mails that had left before.
 * @param last the id of the last email of the outage.
 * @returns within how many places of their turn 19 of 20 mails left.
 */
async function farFromTurn(world: World, before: number, last: string | undefined): Promise<number> {
  const rows = await world.query<{ header: string }>(
    `select internet_message_id as header from emails where state = 'sent' and kind = 'notification' and id <= $1 order by id`,
    [last],
  );
  const left = world.outside.mail.ledger.read().slice(before);
  const place = new Map(left.filter((it) => it.to[0] === 'owner@site.test').map((it, index) => [it.messageId, index]));
  const places = rows.map((it) => place.get(it.header)).filter((it) => it !== undefined);
  const far = places.map((it, turn) => Math.abs(it - turn)).sort((a, b) => a - b);
  return far[Math.floor(far.length * 0.95)] ?? 0;
}
