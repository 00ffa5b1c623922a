import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { ruffinweb } from '../../../../support/program.ts';
import { type Fault, look, rowOf, type Stage } from '../../fault.ts';
import type { Facts } from '../../judges/oracle.ts';
import { liftReplyLimit, World } from '../../world.ts';

/** Everything that the restored database does not know, and may not know. */
interface Gone {
  /** Keys of posts that were acknowledged after the backup. */
  keys: Set<string>;
  /** Keys of people who were erased after the backup. */
  erased: Set<string>;
  /** Ids of hook deliveries that the backup lists as queued, and that were made since. */
  calledBefore: Set<string>;
  /** Until the restore, mails and hook deliveries may belong to what is gone. */
  restoredAt: number;
}

export const oldBackup: Fault = {
  id: 'old-backup',
  title: 'the database is lost, and an old backup is restored',
  async run(stage) {
    const { isShort } = stage;
    await using world = await World.open({ postgres: stage.postgres, seed: stage.seed, rate: isShort ? 30 : 100 });
    world.startWorker();
    world.startServer();
    await world.acknowledges(isShort ? 30 : 1000);
    // Some mail is queued when the backup is made, and sent later.
    if (world.workers[0]) await world.stopCleanly(world.workers[0]);
    await world.acknowledges(isShort ? 20 : 100);
    const before = acknowledgedIn(world);
    const backup = join(world.outside.folder, 'backup');
    await run(world, 'backup', 'create', backup);
    world.startWorker();
    await world.acknowledges(isShort ? 30 : 1000);
    await world.sends(isShort ? 20 : 100);
    const erased = new Set([...before.keys()].slice(0, 3));
    for (const key of erased) await run(world, 'senders', 'erase', '--email', `ada@${key}.test`, '--yes');
    await world.acknowledges(20);

    const lostAt = Date.now();
    for (const it of [...world.servers, ...world.workers]) await it.stop('SIGKILL');
    const log = (await run(world, 'senders', 'erasures')).stdout;
    await replaceDatabase(stage, world);
    // On another machine, with the copy of the erasure log.
    world.outside.settings.DATA_DIR = join(world.outside.folder, 'other');
    await mkdir(world.outside.settings.DATA_DIR, { mode: 0o700 });
    await writeFile(join(world.outside.settings.DATA_DIR, 'erasures.jsonl'), log);
    await run(world, 'backup', 'restore', backup, '--yes');
    await liftReplyLimit(world.outside.database);
    const stored = new Set((await world.query<{ id: string }>('select id from messages')).map((it) => it.id));
    const all = acknowledgedIn(world);
    const keys = new Set([...all].filter(([key, id]) => !before.has(key) && !stored.has(id)).map(([key]) => key));
    const gone: Gone = { keys, erased, calledBefore: new Set(), restoredAt: Date.now() };

    const { mail, hooks } = world.outside;
    const sent = mail.ledger.count + hooks.ledger.count;
    world.startWorker();
    world.startServer();
    await world.acknowledges(1);
    world.recovery.servedS = (Date.now() - lostAt) / 1000;
    await world.acknowledges(20);
    const noticed = await look(world);
    await pause(isShort ? 500 : 5000);
    const early = mail.ledger.count + hooks.ledger.count - sent;

    const arrived = await findArrived(world, gone);
    if (arrived.length > 0 && early === 0) await run(world, 'emails', 'cancel', ...arrived);
    await run(world, 'emails', 'resume');
    await world.recovers();
    const note =
      `Mail is paused after the restore; ${arrived.length} emails that had left since the backup were cancelled as the ` +
      `guide says. ${keys.size} posts acknowledged after the backup are gone with the database, by nature; ` +
      `${gone.calledBefore.size} hook deliveries came again, under their old id.`;
    const row = await rowOf(world, 1, { noticed, note }, (facts) => withoutGone(facts, gone));
    if (early > 0)
      row.violations.push({ invariant: 'no ghost', what: `${early} mails or calls left during the pause` });
    return row;
  },
};

async function run(world: World, ...args: string[]) {
  const finished = await ruffinweb(args, world.outside.settings);
  if (finished.code !== 0) throw new Error(`${args.slice(0, 2).join(' ')}: ${finished.code} ${finished.stderr}`);
  return finished;
}

/** Acknowledged so far: the ids by their keys. */
function acknowledgedIn(world: World): Map<string, string> {
  const lines = world.load.ledger.read().filter((it) => it.answer === 201 && !it.again);
  return new Map(lines.map((it) => [it.key, it.id ?? '']));
}

/** The database is lost; an empty one of the same name takes its place. */
async function replaceDatabase({ postgres }: Stage, world: World): Promise<void> {
  const name = new URL(world.outside.databaseUrl).pathname.slice(1);
  const client = new pg.Client({ connectionString: postgres.urlOf('postgres') });
  await client.connect();
  try {
    await client.query(`drop database ${name} with (force)`);
    await client.query(`create database ${name}`);
  } finally {
    await client.end();
  }
}

/** The owner finds in the mailbox what was sent after the backup. @returns the emails' ids. */
async function findArrived(world: World, gone: Gone): Promise<string[]> {
  const { mail, hooks } = world.outside;
  const taken = mail.ledger.read().map((it) => it.messageId);
  const called = hooks.ledger.read().map((it) => it.id);
  const deliveries = await world.query<{ id: string }>(
    `select id from hook_deliveries where state = 'queued' and id::text = any($1)`,
    [called],
  );
  for (const { id } of deliveries) gone.calledBefore.add(id);
  const emails = await world.query<{ id: string }>(
    `select id from emails where state = 'queued' and internet_message_id = any($1)`,
    [taken],
  );
  return emails.map((it) => it.id);
}

/** The facts without everything that the backup cannot have, and with what the operator did. */
function withoutGone(facts: Facts, { keys, erased, calledBefore, restoredAt }: Gone): Facts {
  const headers = new Set(facts.emails.map((it) => it.header));
  const ids = new Set(facts.deliveries.map((it) => it.id));
  return {
    ...facts,
    visits: facts.visits.filter((it) => !keys.has(it.key) && !erased.has(it.key)),
    mails: facts.mails.filter((it) => headers.has(it.messageId) || it.at > restoredAt),
    calls: facts.calls.filter((it) => ids.has(it.id) || it.at > restoredAt),
    // A cancelled email was found in the mailbox: it counts as sent, and must have arrived once.
    emails: facts.emails.map((it) => (it.state === 'cancelled' ? { ...it, state: 'sent', accepted: 1 } : it)),
    // Resuming asks for these: a hook is called at least once, and its receiver knows the id.
    deliveries: facts.deliveries.map((it) => (calledBefore.has(it.id) ? { ...it, uncertain: it.uncertain + 1 } : it)),
  };
}
