import type { Context } from '../../context.ts';
import { listen } from '../../database/listener.ts';
import { emailChannel } from '../outbox.ts';

/** Raises the signal for each email that any process queues, until it is disposed. */
export function listenForNewMail(context: Pick<Context, 'databaseUrl'>, newMail: NewMailSignal): AsyncDisposable {
  return listen({ databaseUrl: context.databaseUrl, channel: emailChannel }, () => newMail.raise());
}

/** Wakes one waiting loop. If nobody waits, the signal is kept for the next wait. */
export interface NewMailSignal {
  raise(): void;
  /** Resolves at the next signal, after `maxMs`, or when `stop` is aborted; at once if that happened before. */
  wait(maxMs: number, stop: AbortSignal): Promise<void>;
}

export function createNewMailSignal(): NewMailSignal {
  let isRaised = false;
  let wake: (() => void) | undefined;
  return {
    raise() {
      if (wake) wake();
      else isRaised = true;
    },
    wait(maxMs, stop) {
      return new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          stop.removeEventListener('abort', done);
          wake = undefined;
          isRaised = false;
          resolve();
        };
        const timer = setTimeout(done, isRaised || stop.aborted ? 0 : maxMs);
        stop.addEventListener('abort', done, { once: true });
        wake = done;
      });
    },
  };
}
