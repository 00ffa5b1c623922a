import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { emailChannel } from '../../src/services/outbox.ts';
import { settings } from '../accept/contenders.ts';
import { type Machine, query, raiseNotifyLimit } from '../support/machine.ts';
import { findPostmaster, processorMs } from '../support/processor-time.ts';
import { startServer, startWorker } from '../support/program.ts';

const clients = 8;
const drainDeadlineMs = 120_000;

/** One of the two programs that are compared, running on a PostgreSQL server of its own. */
export interface Contender extends AsyncDisposable {
  /** @returns processor time per post or mail in microseconds, of the program and PostgreSQL together. */
  measure(): Promise<number>;
}

/** A server that stores posts and delivers nothing. Each measurement is `count` posts from eight clients. */
export async function openAccepting(machine: Machine, root: string, count: number): Promise<Contender> {
  const url = await machine.createDatabase('accept', { empty: true });
  const server = await startServe(machine, root, { ...settings, DATABASE_URL: url });
  const meter = await openMeter(url, server.pid);
  return {
    measure: async () => await meter(count, async () => await postMany(server.url, count)),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A worker and `count` stored notifications. Each measurement sends all of them to the mail server at `smtpPort`. */
export async function openDelivering(
  machine: Machine,
  root: string,
  { count, smtpPort }: { count: number; smtpPort: number },
): Promise<Contender> {
  const url = await machine.createDatabase('deliver', { empty: true });
  const env = {
    ...settings,
    DATABASE_URL: url,
    AUTO_REPLY: 'off',
    MAIL_FROM: 'Bench <bench@example.com>',
    SMTP_HOST: '127.0.0.1',
    SMTP_PORT: String(smtpPort),
  };
  {
    await using server = await startServe(machine, root, env);
    await postMany(server.url, count);
  }
  const command = [process.execPath, launcherOf(root), 'deliver'] as const;
  const worker = await startWorker({ folder: machine.folder, env: { PATH: process.env.PATH ?? '', ...env }, command });
  await waitUntilSent(url);
  const meter = await openMeter(url, worker.pid);
  return {
    async measure() {
      await query(url, 'vacuum analyze emails');
      return await meter(count, async () => {
        const queued = await queueAgain(url);
        if (queued !== count) throw new Error(`${queued} emails were queued instead of ${count}`);
        await waitUntilSent(url);
      });
    },
    [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
  };
}

const launcherOf = (root: string) => join(root, 'bin/ruffinweb.js');

async function startServe(machine: Machine, root: string, env: Record<string, string>) {
  const command = [process.execPath, launcherOf(root), 'serve', '--no-deliver', '--migrate'] as const;
  const server = await startServer('serve', { folder: machine.folder, env, command });
  await raiseNotifyLimit(env.DATABASE_URL ?? '');
  return server;
}

/** Measures some work on `count` posts or mails, as processor time per piece in microseconds. */
async function openMeter(url: string, program: number) {
  const postmaster = await findPostmaster(url);
  const read = () => processorMs(program) + processorMs(postmaster);
  return async (count: number, work: () => Promise<void>): Promise<number> => {
    const before = read();
    await work();
    return ((read() - before) * 1000) / count;
  };
}

async function postMany(url: string, count: number): Promise<void> {
  let left = count;
  const postUntilDone = async () => {
    while (left-- > 0) await postOne(url);
  };
  await Promise.all(Array.from({ length: clients }, postUntilDone));
}

/** Each post has another address and another text, so that none is a repeat or held as spam. */
async function postOne(url: string): Promise<void> {
  const words = randomBytes(90).toString('hex').match(/.{6}/g) ?? [];
  const answer = await fetch(`${url}/api/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      name: 'Ada Lovelace',
      email: `${randomUUID()}@example.test`,
      subject: 'A question',
      message: words.join(' '),
    }),
  });
  const body = await answer.text();
  if (answer.status !== 201) throw new Error(`a post was answered ${answer.status}: ${body}`);
}

/** Makes every email due again and wakes the worker. @returns how many there are. */
async function queueAgain(url: string): Promise<number> {
  const [row] = await query<{ queued: number }>(
    url,
    `with emptied as (delete from attempts),
       queued as (
         update emails set state = 'queued', tries = 0, lease_token = null, due_at = now(), sent_at = null returning id
       )
     select count(*)::int as queued, pg_notify('${emailChannel}', '') from queued`,
  );
  return row?.queued ?? 0;
}

async function waitUntilSent(url: string): Promise<void> {
  const deadline = performance.now() + drainDeadlineMs;
  for (;;) {
    const [row] = await query<{ left: boolean }>(
      url,
      `select exists (select from emails where state <> 'sent') as left`,
    );
    if (row?.left === false) return;
    if (performance.now() > deadline) throw new Error(`not every email was sent within ${drainDeadlineMs / 1000} s`);
    await pause(50);
  }
}
