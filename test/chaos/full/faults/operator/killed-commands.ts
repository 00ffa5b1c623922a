import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Fault, rowOf } from '../../fault.ts';
import { World } from '../../world.ts';
import { killedAfter, succeeds, untilHead } from './commands.ts';

/** Commands that change or read much are killed at random moments under load, and run again to their end. */
export const killedCommands: Fault = {
  id: 'killed-commands',
  title:
    'commands (resend, hold, release, purge, export, backup) are killed (kill -9) or lose their reader, and run again',
  async run({ postgres, seed, isShort }) {
    await using world = await World.open({ postgres, seed, rate: 120 });
    world.startServer();
    world.startWorker();
    await world.recovers();
    let kills = 0;
    for (let round = 0; round < (isShort ? 1 : 3); round++) {
      await world.acknowledges(isShort ? 200 : 400);
      await failMails(world, isShort ? 50 : 200);
      await ageMessages(world, isShort ? 100 : 400);
      for (const args of await commandsOf(world, round)) {
        for (let time = 0; time < (isShort ? 1 : 2); time++) {
          if (await killedAfter(world, 150 + world.random() * 700, args)) kills++;
        }
        await forgetFolder(args);
        await succeeds(world, args);
      }
      await loseReader(world);
      kills++;
    }
    await resendAll(world);
    await nothingOld(world);
    return await rowOf(world, kills);
  },
};

async function commandsOf(world: World, round: number): Promise<string[][]> {
  // Of the form without auto-reply and hook, since a release cancels the one, and tells the other in another event.
  const some = await world.query<{ id: string }>(
    `select id from messages where form_id = (select id from forms where slug = 'plain') order by id desc limit 60`,
  );
  const ids = some.map((it) => it.id);
  return [
    ['emails', 'resend', '--failed', '--yes'],
    ['hooks', 'deliveries', 'resend', '--failed'],
    ['messages', 'hold', ...ids],
    ['messages', 'release', '--all', '--yes'],
    ['purge'],
    ['backup', 'create', join(world.outside.folder, `backup-${round}`)],
  ];
}

/** A folder that a killed backup has left is the operator's to remove. */
async function forgetFolder(args: readonly string[]): Promise<void> {
  if (args[0] === 'backup') await rm(args[2] ?? '', { recursive: true, force: true });
}

/** So many mails are refused for good. */
async function failMails(world: World, count: number): Promise<void> {
  world.outside.mail.answer('rcpt', '550 5.1.1 there is nobody', { times: count });
  await world.sends(10);
}

/** Copies that are past their retention and that only `purge` may remove: whatever it forgets, the oracle finds. */
async function ageMessages(world: World, count: number): Promise<void> {
  await succeeds(world, ['forms', 'change', 'plain', '--retention', '30']);
  const id = `('0190' || substr(gen_random_uuid()::text, 5))::uuid`;
  const columns = 'form_id, sender_id, status, reasons, content, client_address';
  await world.query(
    `with copies as (
       insert into messages (id, receipt, ${columns}, received_at)
       select ${id}, 'RW-' || substr(upper(md5(random()::text)), 1, 10), ${columns}, '2024-07-01'
       from (select * from messages where form_id = (select id from forms where slug = 'plain') limit $1) as chosen
       returning sender_id)
     update senders set message_count = message_count + n
     from (select sender_id, count(*)::int as n from copies group by 1) as each where senders.id = each.sender_id`,
    [count],
  );
}

async function loseReader(world: World): Promise<void> {
  for (const format of ['csv', 'jsonl']) {
    const said = await untilHead(world, ['messages', 'export', '--format', format], 100 + world.random() * 100_000);
    if (!/^(\d+ messages exported\n)?$/.test(said)) world.ended.push(`an export without a reader says ${said}`);
  }
}

/** What was refused last, as an operator does it. */
async function resendAll(world: World): Promise<void> {
  world.outside.mail.reset();
  await world.sends(10);
  await succeeds(world, ['emails', 'resend', '--failed', '--yes']);
}

async function nothingOld(world: World): Promise<void> {
  await succeeds(world, ['purge']);
  const old = await world.query(`select from messages where received_at < '2025-01-01'`);
  if (old.length > 0) world.ended.push(`purge has left ${old.length} messages`);
}
