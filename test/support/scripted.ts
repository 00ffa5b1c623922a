import { syncBuiltinESMExports } from 'node:module';
import { mock } from 'node:test';
import { setImmediate as turnOfEvents } from 'node:timers/promises';
import type { Context } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';
import type { Outcome } from '../../src/mail/mailer.ts';
import { Keyring, sealingKey } from '../../src/privacy/keyring.ts';
import type { Claim, Job, LeasedRow } from '../../src/services/delivery/job.ts';

/** A statement that reached the scripted database. */
export interface Asked {
  /** Of a prepared statement, or what was asked of the entity manager. */
  name: string;
  text: string;
  values: unknown[];
}

type Rows = Record<string, unknown>[];

/** A context whose database answers from a script, for moments that a real one shows only by chance. */
export function scriptedContext(answer: (asked: Asked) => Rows | Promise<Rows> = () => [], config: object = {}) {
  const asked: Asked[] = [];
  const created: Record<string, unknown>[] = [];
  const lines: Record<string, unknown>[] = [];
  const ask = async (name: string, text: string, values: unknown[]) => {
    asked.push({ name, text, values });
    return await answer({ name, text, values });
  };
  const client = {
    query: async ({ name, text, values }: Asked) => ({ rows: await ask(name, text, values) }),
    release() {},
  };
  const em = {
    getConnection: () => ({ getNativeClient: async () => ({ connect: async () => client }) }),
    execute: (text: string, values: unknown[]) => ask('execute', text, values),
    find: (_: unknown, ...values: unknown[]) => ask('find', '', values),
    findOne: async (_: unknown, ...values: unknown[]) => (await ask('findOne', '', values))[0] ?? null,
    create: (_: unknown, row: Record<string, unknown>) => created.push(row),
    flush: () => ask('flush', '', []),
  };
  const context = {
    orm: { em: { fork: () => em } },
    log: createLog({ level: 'debug', format: 'json' }, { write: (line) => lines.push(JSON.parse(line)) }),
    now: () => new Date(),
    keyring: new Keyring([sealingKey('k1', new Uint8Array(32).fill(1))], new Uint8Array(32).fill(9)),
    config,
  } as unknown as Context;
  return {
    context,
    asked,
    created,
    lines,
    /** Level and text of each log line. */
    said: () => lines.map((it) => `${it.level}: ${it.msg}`),
  };
}

/** Whether an array of uuids that was sent as a parameter contains this one. */
export function hasUuid(value: unknown, uuid: string): boolean {
  return (value as Buffer).includes(uuid.replaceAll('-', ''), 0, 'hex');
}

/** Lets everything happen that waits for no timer. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await turnOfEvents();
}

/** Timers and clocks that stand still until `pass` is called. */
export function stoppedClocks() {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  // For `import { setTimeout } from 'node:timers/promises'`.
  syncBuiltinESMExports();
  const steadyClock = performance.now;
  let steady = 5000;
  performance.now = () => steady;
  return {
    async pass(ms: number) {
      await turns();
      steady += ms;
      mock.timers.tick(ms);
      await turns();
    },
    /** Only one of the two clocks, and no timer. */
    setSteady(by: number) {
      steady += by;
    },
    setDate(by: number) {
      mock.timers.setTime(Date.now() + by);
    },
    [Symbol.dispose]() {
      performance.now = steadyClock;
      mock.timers.reset();
      syncBuiltinESMExports();
    },
  };
}

/** Whether it has been fulfilled. */
export async function isDone(promise: Promise<unknown>): Promise<boolean> {
  return await Promise.race([promise.then(() => true), turns().then(() => false)]);
}

export type ScriptedJob = ReturnType<typeof scriptedJob>;

/** A job whose rows are numbers from 1 on, and whose attempts end when the test says so. */
export function scriptedJob(changes: Partial<Job<LeasedRow, string>> = {}) {
  const due: LeasedRow[] = [];
  const events: string[] = [];
  const claims: { limit: number; leaseToken: string }[] = [];
  const underWay = new Map<string, (outcome: Outcome) => void>();
  const givenUp: string[] = [];
  const job: Job<LeasedRow, string> = {
    noun: 'email',
    table: { rows: 'emails', attempts: 'attempts', reference: 'email_id' },
    lanes: 2,
    prepare: async () => void events.push('prepare'),
    async claim(_, limit, leaseToken): Promise<Claim<LeasedRow>> {
      claims.push({ limit, leaseToken });
      const lost = givenUp.splice(0, limit);
      const rows = due.splice(0, limit - lost.length);
      return { rows: rows.map((it) => ({ ...it, leaseToken })), givenUp: lost };
    },
    tags: () => ({}),
    compose: async (_, row) => row.id,
    send(id, { signal }) {
      events.push(`send ${id.slice(-2)}`);
      const { promise, resolve } = Promise.withResolvers<Outcome>();
      underWay.set(id, resolve);
      signal?.addEventListener('abort', () => resolve({ result: 'later', reply: 'interrupted' }));
      return promise.finally(() => underWay.delete(id));
    },
    schedule: (_, { result }) => ({
      state: result === 'accepted' ? 'sent' : 'queued',
      failure: null,
      waitMs: 0,
      counts: true,
    }),
    settle: async (_, settlements) => {
      for (const { row, outcome } of settlements) events.push(`${outcome.result} ${row.id.slice(-2)}`);
      return new Set(settlements.map((it) => it.row.id));
    },
    endsTurn: (result) => result === 'broken',
    close: async () => void events.push('close'),
    ...changes,
  };
  return {
    job,
    events,
    claims,
    givenUp,
    add(...numbers: number[]) {
      for (const n of numbers) due.push({ id: scriptedId(n), kind: 'notification', leaseToken: '', tries: 1 });
    },
    end(n: number, result: Outcome['result'] = 'accepted') {
      underWay.get(scriptedId(n))?.({ result, reply: `${result}` });
    },
    underWay: () => [...underWay.keys()].map((id) => Number(id.slice(-2))),
  };
}

export function scriptedId(n: number): string {
  return `00000000-0000-4000-8000-0000000000${String(n).padStart(2, '0')}`;
}
