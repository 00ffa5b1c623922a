import type { SMTPPoolOptions } from 'nodemailer';
import type { Outcome } from '../mailer.ts';
import type { Built } from '../mime.ts';
import { classify, type Progress, replyCode } from './classify.ts';
import { builtMail, SMTPPool, socketOfPool } from './nodemailer-internals.ts';
import { cleanReply } from './reply.ts';

/** How to reach the server and who we are there. */
export type ConnectionOptions = SMTPPoolOptions;

/** `hard` ends a try whatever its state; `soft` only while the mail has not been handed over. */
export interface Stops {
  readonly hard: AbortSignal;
  readonly soft: AbortSignal;
  /** Told when the mail is handed over. */
  readonly handedOver: () => void;
}

/**
 * One connection, kept open between mails, one mail at a time.
 *
 * A connection lost after the final dot gives the same error as one that sent nothing. What tells them
 * apart is nodemailer's log: an entry with `tnx: 'message'` says that the last byte has left. It carries
 * no message id; so each lane has a transport and a logger of its own, and a new pair after every
 * connection that ended badly, so that a late entry of the old one cannot be taken for the new mail's.
 */
export class SmtpLane {
  readonly #connection: ConnectionOptions;
  readonly #idleMs: number;
  #transport: Transport | undefined;
  #usedAt = 0;

  constructor(connection: ConnectionOptions, idleMs: number) {
    this.#connection = connection;
    this.#idleMs = idleMs;
  }

  /** @throws never; every failure is an outcome. */
  async send(built: Built, stops: Stops): Promise<Outcome> {
    const first = await this.#try(built, stops);
    // The server had closed a connection that was kept open, and the final dot never left: the mail has
    // not been tried at all yet. A fresh connection tells the truth.
    if (first.stale && !stops.soft.aborted) return (await this.#try(built, stops)).outcome;
    return first.outcome;
  }

  close(): void {
    this.#transport?.close();
    this.#transport = undefined;
  }

  async #try(built: Built, stops: Stops): Promise<{ outcome: Outcome; stale: boolean }> {
    // Past this time the connection is saying goodbye, and a server that does not answer QUIT would hold the mail up.
    if (performance.now() - this.#usedAt >= this.#idleMs) this.close();
    this.#transport ??= openTransport(this.#connection, this.#idleMs);
    const transport = this.#transport;
    const progress = transport.startProgress(stops.handedOver);
    const stop = new AbortController();
    const stopHard = () => stop.abort();
    const stopSoft = () => {
      if (!progress.handedOver) stop.abort();
    };
    stops.hard.addEventListener('abort', stopHard, { once: true });
    stops.soft.addEventListener('abort', stopSoft, { once: true });
    try {
      if (stops.soft.aborted) stop.abort();
      const outcome = outcomeOf(await transport.send(built, stop.signal));
      if (outcome.result !== 'accepted') this.close();
      return { outcome, stale: false };
    } catch (error) {
      const failure = error as Parameters<typeof classify>[0];
      const outcome = classify(failure, progress);
      // After a reply that is not SMTP the connection may be out of step, and its next reply would be taken for the next mail's.
      const answered = (outcome.code ?? 0) >= 400;
      // An answer amid the data leaves the rest of it on its way, and the entry for its end to come: into the next mail's.
      if (!answered || (failure.code === 'EMESSAGE' && !progress.handedOver)) this.close();
      const stale =
        !answered && !progress.connected && !progress.handedOver && outcome.result === 'later' && !stop.signal.aborted;
      return { outcome, stale };
    } finally {
      transport.endProgress();
      this.#usedAt = performance.now();
      stops.hard.removeEventListener('abort', stopHard);
      stops.soft.removeEventListener('abort', stopSoft);
    }
  }
}

/** The outcome of a reply that nodemailer takes for a yes. It looks at the first character only, so "2 errors" is one. */
export function outcomeOf(reply: string): Outcome {
  const code = replyCode(reply);
  return { result: code ? 'accepted' : 'unknown', ...(code && { code }), reply: cleanReply(reply) };
}

interface Transport {
  /** Forgets the mail before and returns what the log will tell of the next one. */
  startProgress(onHandedOver: () => void): Progress;
  /** From now on silence ends the connection again. */
  endProgress(): void;
  send(built: Built, signal: AbortSignal): Promise<string>;
  close(): void;
}

function openTransport(connection: ConnectionOptions, idleMs: number): Transport {
  let progress: Progress = { connected: false, began: false, handedOver: false };
  let tellHandedOver = () => {};
  const note = (entry: unknown) => {
    const tnx = (entry as { tnx?: unknown } | null)?.tnx;
    if (tnx === 'dns') progress.connected = true;
    if (tnx === 'send') progress.began = true;
    if (tnx === 'message' && !progress.handedOver) {
      progress.handedOver = true;
      // A server may think about a mail for minutes before it says that it has it; the sender's own timer counts them.
      socketOfPool(transport)?.setTimeout(0);
      tellHandedOver();
    }
  };
  const transport = new SMTPPool({
    ...connection,
    maxConnections: 1,
    // Every try is counted in the queue; a hidden second one would not be.
    maxRequeues: 0,
    idleTimeout: idleMs,
    logger: { trace: note, debug: note, info: note, warn: note, error: note, fatal: note },
  });
  return {
    startProgress: (onHandedOver) => {
      tellHandedOver = onHandedOver;
      progress = { connected: false, began: false, handedOver: false };
      return progress;
    },
    endProgress: () => {
      tellHandedOver = () => {};
      socketOfPool(transport)?.setTimeout(connection.socketTimeout ?? 0);
    },
    send: ({ envelope, raw }, signal) =>
      new Promise((resolve, reject) => {
        transport.send(builtMail(envelope, raw, signal), (error, info) =>
          error ? reject(error) : resolve(info?.response ?? ''),
        );
      }),
    close: () => transport.close({ force: true }),
  };
}
