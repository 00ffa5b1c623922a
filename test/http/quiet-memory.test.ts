import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { createDatabase } from '../support/database.ts';
import { PostLoad } from '../support/post-load.ts';
import { RunningServer, temporaryFolder } from '../support/program.ts';
import { until } from '../support/until.ts';

/** In bytes: more than the server holds worth collecting for, so that it has to, once it is quiet. */
const grown = 12e6;

describe('the memory of a server', () => {
  it('is given back once it is quiet: what starting took, and what posts took', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    const settings = { DATABASE_URL: db.url, DATA_DIR: folder.path, RATE_LIMIT: 'off' };
    await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
    const memory = () => residentBytes(server.pid);

    // At most, since it may be quiet before it is looked at.
    const started = residentBytes(server.pid, 'VmHWM');
    const rested = await until('what starting took is given back', () => memory() < started - grown && memory());
    let most = 0;
    {
      await using load = new PostLoad([server.url], 8);
      const grow = () => {
        most = Math.max(most, memory());
        return most > rested + grown;
      };
      await until('posts take memory', grow, 30_000);
      await load.stop();
      expect(load.failures).to.deep.equal([]);
    }

    await until('what posts took is given back', () => memory() < most - grown / 2);
  });
});

/** What a process has of the machine's memory, or has had at most, which only Linux tells. */
function residentBytes(pid: number, which: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const kib =
    process.platform === 'linux'
      ? new RegExp(`^${which}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
      : execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' });
  return Number(kib) * 1024;
}
