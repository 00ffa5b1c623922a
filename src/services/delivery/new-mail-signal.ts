import { listen } from '../../database/listener.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { emailChannel } from '../outbox.ts';

/** Rings at each email that any process queues, until disposed. */
export function listenForEmails(context: Pick<MailingContext, 'databaseUrl'>, bell: Bell): AsyncDisposable {
  return listen({ databaseUrl: context.databaseUrl, channel: emailChannel }, () => bell.ring());
}
/** Wakes one sleeper. A ring while nobody sleeps is kept for the next one, so that none is missed. */
export interface Bell {
  ring(): void;
  /** Resolves at the next ring, after `atMostMs`, or when `stop` is aborted; at once where one of them was already. */
  rung(atMostMs: number, stop: AbortSignal): Promise<void>;
}

export function createBell(): Bell {
  let rungBefore = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      if (wake) wake();
      else rungBefore = true;
    },
    rung(atMostMs, stop) {
      return new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          stop.removeEventListener('abort', done);
          wake = undefined;
          rungBefore = false;
          resolve();
        };
        const timer = setTimeout(done, rungBefore || stop.aborted ? 0 : atMostMs);
        stop.addEventListener('abort', done, { once: true });
        wake = done;
      });
    },
  };
}
