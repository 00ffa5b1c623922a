import { setTimeout as delay } from 'node:timers/promises';
import { folderOf, startDeadlineMs, startServer } from './cluster.ts';
import { findPostmaster } from './postmaster.ts';

/** How often its owner looks whether the server is still there, and how often it tries where that did not start again. */
const [lookEveryMs, tryEveryMs] = [2000, 5000];

/**
 * Nobody else would start a server again that was killed, for want of memory say, or that a full disk has ended. On the
 * same port, since that is where all who were connected look for it.
 */
export function keepRunning(home: string, port: number, tell: (line: string) => void): { end(): Promise<void> } {
  const stop = new AbortController();
  const { signal } = stop;
  async function look(): Promise<void> {
    let failed = false;
    while (!signal.aborted) {
      await delay(failed ? tryEveryMs : lookEveryMs, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      try {
        if (await findPostmaster(folderOf(home))) continue;
        await startServer(home, Date.now() + startDeadlineMs, port);
        tell('the embedded PostgreSQL had ended, and was started again');
        failed = false;
      } catch (error) {
        if (!failed)
          tell(`the embedded PostgreSQL has ended, and is tried again and again: ${(error as Error).message}`);
        failed = true;
      }
    }
  }
  const looking = look();
  return {
    async end() {
      stop.abort();
      // A start that takes longer is ended with the server.
      await Promise.race([looking, delay(2000, undefined, { ref: false })]);
    },
  };
}
