import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const script = fileURLToPath(new URL('posts.lua', import.meta.url));

export interface Load {
  perSecond: number;
  /** In milliseconds. */
  p50: number;
  p99: number;
  answered: number;
}

export interface LoadOptions {
  clients: number;
  seconds: number;
  /** From how many addresses; without it each post comes from a new one. */
  addresses?: number;
}

/**
 * Posts messages over kept connections, each client waiting for its answer, from a process of its own (wrk, which
 * takes little of the machine that it shares with what it measures).
 *
 * @throws where a single post was not taken: a refusal is quickly answered.
 */
export async function post(url: string, { clients, seconds, addresses = 0 }: LoadOptions): Promise<Load> {
  const word = [...randomBytes(10)].map((byte) => String.fromCharCode(97 + (byte % 26))).join('');
  const args = ['-t1', `-c${clients}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, `${url}/api/messages`];
  const { stdout } = await run('wrk', [...args, '--', word, String(addresses)]);
  const found = /^JSON(\{.*\})$/m.exec(stdout)?.[1];
  if (found === undefined) throw new Error(`wrk said: ${stdout}`);
  // What `posts.lua` writes.
  const told = JSON.parse(found) as Load & { seconds: number; refused: number; failed: number };
  if (told.refused + told.failed > 0) throw new Error(`${told.refused} posts refused, ${told.failed} not answered`);
  return { perSecond: told.answered / told.seconds, p50: told.p50, p99: told.p99, answered: told.answered };
}
