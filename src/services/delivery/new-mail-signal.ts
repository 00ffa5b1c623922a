import type { Context } from '../../context.ts';
import { listen } from '../../database/listener.ts';
import { emailChannel, hookChannel } from '../outbox.ts';

/** Raises the signals for each email and each hook's delivery that any process queues, until it is disposed. */
export function listenForNewMail(
  { databaseUrl }: Pick<Context, 'databaseUrl'>,
  newMail: NewMailSignal,
  newDeliveries: NewMailSignal,
): AsyncDisposable {
  const notices = { [emailChannel]: () => newMail.raise(), [hookChannel]: () => newDeliveries.raise() };
  return listen({ databaseUrl, notices });
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
        stop.addEventListener('abort', done);
        wake = done;
      });
    },
  };
}
