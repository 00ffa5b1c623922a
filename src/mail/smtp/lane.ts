import type { SMTPPoolOptions } from 'nodemailer';
import type { Outcome } from '../mailer.ts';
import type { Built } from '../mime.ts';
import { classify, type Progress, replyCode, watchGreeting } from './classify.ts';
import { builtMail, connectionOf, findOutOfStep, SMTPPool, socketOf } from './nodemailer-internals.ts';
import { cleanReply } from './reply.ts';

export type ConnectionOptions = SMTPPoolOptions;

export interface Stops {
  /** Ends the attempt at once. */
  readonly hard: AbortSignal;
  /** Ends the attempt if the mail has not been handed over. */
  readonly soft: AbortSignal;
  /** Called when the mail is handed over. */
  readonly handedOver: () => void;
  /** Called before the first byte of the text. If false, the attempt ends. */
  readonly beforeText: (() => Promise<boolean>) | undefined;
}

/**
 * One connection that is kept open between mails and sends one mail at a time.
 *
 * nodemailer reports the same error whether a connection was lost before or after the final dot. Only its log tells: an
 * entry with `tnx: 'message'` says that the last byte has left. The entry names no message, so each lane has its own
 * transport and logger, and new ones after an error, so that a late entry cannot be mistaken for the next mail's.
 */
export class SmtpLane {
  readonly #connection: ConnectionOptions;
  readonly #idleMs: number;
  #transport: Transport | undefined;

  constructor(connection: ConnectionOptions, idleMs: number) {
    this.#connection = connection;
    this.#idleMs = idleMs;
  }

  /** Never throws. */
  async send(built: Built, stops: Stops): Promise<Outcome> {
    const first = await this.#try(built, stops);
    // The server had closed the connection that we kept open, so nothing was tried yet. Use a new connection.
    if (first.stale && !stops.soft.aborted) return (await this.#try(built, stops)).outcome;
    return first.outcome;
  }

  close(): void {
    this.#transport?.close();
    this.#transport = undefined;
  }

  async #try(built: Built, stops: Stops): Promise<{ outcome: Outcome; stale: boolean }> {
    // It has sent QUIT, and a server that does not answer would delay the mail.
    if (this.#transport?.isLeaving() === true) this.close();
    this.#transport ??= openTransport(this.#connection, this.#idleMs);
    const transport = this.#transport;
    const progress = transport.startProgress(stops.handedOver);
    const stop = new AbortController();
    const stopHard = () => stop.abort();
    const stopSoft = () => {
      if (!progress.handedOver) stop.abort();
    };
    const mayStart = async () => {
      const fault = transport.findOutOfStep();
      if (fault !== undefined) stop.abort(new OutOfStep(fault));
      else if (stops.beforeText && !(await stops.beforeText())) stop.abort();
      return !stop.signal.aborted;
    };
    stops.hard.addEventListener('abort', stopHard, { once: true });
    stops.soft.addEventListener('abort', stopSoft, { once: true });
    try {
      if (stops.soft.aborted) stop.abort();
      const reply = await transport.send(built, stop.signal, mayStart);
      if (!progress.handedOver) throw new OutOfStep(reply);
      const outcome = outcomeOf(reply);
      if (outcome.result !== 'accepted') this.close();
      return { outcome, stale: false };
    } catch (error) {
      const failure = (stop.signal.reason instanceof OutOfStep ? stop.signal.reason : error) as Parameters<
        typeof classify
      >[0];
      const outcome = classify(failure, progress);
      // After a reply that is not SMTP, the next reply could be mistaken for the next mail's. After a reply in the middle of
      // the data, the log entry for the end of the data is still to come.
      const answered = (outcome.code ?? 0) >= 400;
      if (!answered || (failure.code === 'EMESSAGE' && !progress.handedOver)) this.close();
      const isPutOff = outcome.result === 'later' || outcome.result === 'away';
      const stale = !answered && !progress.connected && !progress.handedOver && isPutOff && !stop.signal.aborted;
      return { outcome, stale };
    } finally {
      // A text that is still held back must not leave after the attempt.
      stop.abort();
      transport.endProgress();
      stops.hard.removeEventListener('abort', stopHard);
      stops.soft.removeEventListener('abort', stopSoft);
    }
  }
}

/** The outcome of a reply that nodemailer accepts. It checks only the first character, so "2 errors" is accepted too. */
export function outcomeOf(reply: string): Outcome {
  const code = replyCode(reply);
  return { result: code ? 'accepted' : 'unknown', ...(code && { code }), reply: cleanReply(reply) };
}

/** The server answers commands that it did not get yet, so none of its replies can be trusted. */
export class OutOfStep extends Error {
  constructor(said: string) {
    super(`the mail server is out of step: it did not wait for the text, and said ${said}`);
  }
}

interface Transport {
  /** Starts a new mail. The log keeps the returned progress up to date. */
  startProgress(onHandedOver: () => void): Progress;
  /** Ends the mail: from now on, silence closes the connection again. */
  endProgress(): void;
  /** What the server said, unless it waits for the text and said nothing more. */
  findOutOfStep(): string | undefined;
  send(built: Built, signal: AbortSignal, mayStart: () => Promise<boolean>): Promise<string>;
  /** Whether the connection was not used for so long that it is being closed. */
  isLeaving(): boolean;
  close(): void;
}

function openTransport(connection: ConnectionOptions, idleMs: number): Transport {
  const notBegun: Progress = { connected: false, greeted: false, began: false, handedOver: false };
  let progress = { ...notBegun };
  let tellHandedOver = () => {};
  let isGreeting = watchGreeting();
  let isLeaving = false;
  const note = (entry: unknown, line: unknown) => {
    const tnx = (entry as { tnx?: unknown } | null)?.tnx;
    if (tnx === 'dns') progress.connected = true;
    if (tnx === 'client' && line === 'QUIT') isLeaving = true;
    if (isGreeting(tnx, line)) progress.greeted = true;
    if (tnx === 'send') {
      progress.began = true;
      // A connection that is used again was greeted for an earlier mail.
      progress.greeted = true;
    }
    if (tnx === 'message' && !progress.handedOver) {
      progress.handedOver = true;
      // A server may take minutes to reply to the final dot. The mailer has its own timer for that.
      socketOf(connectionOf(transport))?.setTimeout(0);
      tellHandedOver();
    }
  };
  const transport = new SMTPPool({
    ...connection,
    maxConnections: 1,
    // Attempts are counted in the queue, so there must be no hidden ones.
    maxRequeues: 0,
    idleTimeout: idleMs,
    transactionLog: true,
    logger: { trace: note, debug: note, info: note, warn: note, error: note, fatal: note },
  });
  return {
    startProgress: (onHandedOver) => {
      tellHandedOver = onHandedOver;
      progress = { ...notBegun };
      // After a refused EHLO, the next connection's first line is not its answer.
      isGreeting = watchGreeting();
      return progress;
    },
    endProgress: () => {
      tellHandedOver = () => {};
      socketOf(connectionOf(transport))?.setTimeout(connection.socketTimeout ?? 0);
    },
    findOutOfStep: () => {
      const current = connectionOf(transport);
      return current && findOutOfStep(current);
    },
    send: ({ envelope, raw }, signal, mayStart) =>
      new Promise((resolve, reject) => {
        transport.send(builtMail(envelope, raw, signal, mayStart), (error, info) =>
          error ? reject(error) : resolve(info?.response ?? ''),
        );
      }),
    isLeaving: () => isLeaving,
    close: () => transport.close({ force: true }),
  };
}
