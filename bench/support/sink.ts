import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FromSink, ToSink } from '../deliver/sink.ts';

const program = fileURLToPath(new URL('../deliver/sink.ts', import.meta.url));

/** The mail server in `deliver/sink.ts`. */
export interface Sink extends AsyncDisposable {
  readonly port: number;
  /** Forgets all mails so far. */
  reset(): void;
  /** When it sent each 250 since the reset, in milliseconds of `clock()`. */
  report(): Promise<number[]>;
  /** When it sent the next 250; for one mail at a time. */
  nextMail(): Promise<number>;
}

export async function startSink(): Promise<Sink> {
  const child = fork(program, { stdio: 'inherit' });
  const { port } = (await answer(child)) as { port: number };
  const say = (ask: ToSink['ask']) => child.send({ ask } satisfies ToSink);
  return {
    port,
    reset: () => say('reset'),
    async report() {
      const reply = answer(child);
      say('report');
      return ((await reply) as { times: number[] }).times;
    },
    async nextMail() {
      const reply = answer(child);
      say('tell-each');
      return ((await reply) as { mail: number }).mail;
    },
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

/** Milliseconds of the clock that all processes of the machine share. */
export function clock(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

async function answer(child: ChildProcess): Promise<FromSink> {
  const [message] = await once(child, 'message');
  return message as FromSink;
}
