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
  /** Number of sender addresses. By default each post has a new one. */
  addresses?: number;
}

/**
 * Posts messages over keep-alive connections; each client waits for its answer. Uses wrk, which leaves most of the
 * processor time to the server.
 *
 * @throws if any post was not stored, because refusals are faster and would improve the rate.
 */
export async function post(url: string, { clients, seconds, addresses = 0 }: LoadOptions): Promise<Load> {
  const word = [...randomBytes(10)].map((byte) => String.fromCharCode(97 + (byte % 26))).join('');
  const args = ['-t1', `-c${clients}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, `${url}/api/messages`];
  const { stdout } = await run('wrk', [...args, '--', word, String(addresses)]);
  const found = /^JSON(\{.*\})$/m.exec(stdout)?.[1];
  if (found === undefined) throw new Error(`wrk printed no figures: ${stdout}`);
  // `posts.lua` writes this line.
  const totals = JSON.parse(found) as Load & { seconds: number; refused: number; failed: number };
  if (totals.refused + totals.failed > 0)
    throw new Error(`${totals.refused} posts refused, ${totals.failed} not answered`);
  return { perSecond: totals.answered / totals.seconds, p50: totals.p50, p99: totals.p99, answered: totals.answered };
}
