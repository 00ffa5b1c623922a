import type { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Step, StepName, Walk } from '../mailer.ts';
import type { Built } from '../mime.ts';
import { classify, type Progress, watchGreeting } from './classify.ts';
import { type ConnectionOptions, OutOfStep, outcomeOf } from './lane.ts';
import { findOutOfStep, SMTPConnection, sendCommand, socketOf, sourceOf } from './nodemailer-internals.ts';
import { cleanReply } from './reply.ts';

/** For each command that a client sends, the step it belongs to. */
const stepOf: Readonly<Record<string, StepName>> = {
  EHLO: 'connect',
  HELO: 'connect',
  STARTTLS: 'tls',
  AUTH: 'login',
  MAIL: 'mail',
  RCPT: 'rcpt',
  DATA: 'data',
};

const order: readonly StepName[] = ['connect', 'tls', 'login', 'mail', 'rcpt', 'data', 'accepted'];

interface WalkLimits {
  readonly deadlineMs: number;
  readonly answerMs: number;
  /** Ends the walk at once. */
  readonly closing: AbortSignal;
}

/**
 * Sends a mail on a connection of its own and reports each step: connect, TLS, login, MAIL, RCPT, DATA, and the server's
 * reply after the final dot. Never throws.
 *
 * @param built an address instead of a mail: ends after MAIL FROM with this address, and sends nothing.
 */
export async function walkSmtp(
  options: ConnectionOptions,
  built: Built | string,
  { deadlineMs, answerMs, closing }: WalkLimits,
  onStep: (step: Step) => void,
): Promise<Walk> {
  const { promise: failed, reject: fail } = Promise.withResolvers<never>();
  const endAfter = (ms: number) => setTimeout(() => fail(new Error('no end within the deadline')), ms);
  let timer = endAfter(deadlineMs);
  const stop = () => fail(new Error('stopped before the mail server had answered'));
  if (closing.aborted) stop();
  closing.addEventListener('abort', stop, { once: true });
  const steps = new StepLog(onStep, () => {
    clearTimeout(timer);
    timer = endAfter(answerMs);
    socketOf(connection)?.setTimeout(0);
  });
  const { note } = steps;
  const connection = new SMTPConnection({
    ...options,
    debug: true,
    transactionLog: true,
    logger: { trace: note, debug: note, info: note, warn: note, error: note, fatal: note } as never,
  });
  connection.on('error', fail);
  // First read what the server said before it closed the connection.
  connection.once('end', () => setImmediate(() => fail(new Error('the server closed the connection'))));
  try {
    const reply = await Promise.race([converse(connection, options, built, steps), failed]);
    connection.quit();
    const outcome = outcomeOf(reply);
    if (outcome.result !== 'accepted') steps.reportFailure(reply);
    return { outcome, certificateEndsAt: steps.certificateEndsAt };
  } catch (error) {
    connection.close();
    const failure = error as Parameters<typeof classify>[0];
    const outcome = classify(failure, steps.progress);
    const about = `${failure.code} ${failure.originalCode} ${failure.message}`;
    steps.reportFailure(outcome.reply, /TLS|SSL|CERT|EPROTO\b|certificate/i.test(about));
    return { outcome, certificateEndsAt: steps.certificateEndsAt };
  } finally {
    clearTimeout(timer);
    closing.removeEventListener('abort', stop);
  }
}

/** @returns the server's last reply. */
async function converse(
  connection: SMTPConnection,
  { auth }: ConnectionOptions,
  built: Built | string,
  steps: StepLog,
): Promise<string> {
  await whenDone((done) => connection.connect(done));
  steps.reportTls(connection);
  if (auth) await whenDone((done) => connection.login(auth, done));
  else steps.report('login', true, 'none: no SMTP_USER');
  if (typeof built === 'string') return await askForSender(connection, built);
  const { from, to } = built.envelope;
  return await new Promise((resolve, reject) => {
    const source = sourceOf(built.raw, async () => {
      const fault = findOutOfStep(connection);
      if (fault !== undefined) reject(new OutOfStep(fault));
      return fault === undefined;
    });
    connection.send({ from, to: [...to] }, source as unknown as Readable, (error, info) =>
      error ? reject(error) : resolve(info?.response ?? ''),
    );
  });
}

/** Sends MAIL FROM and takes it back: a server that lets us in may still refuse to send for MAIL_FROM. */
async function askForSender(connection: SMTPConnection, from: string): Promise<string> {
  const response = await new Promise<string>((resolve) => {
    sendCommand(connection, `MAIL FROM:<${from}>`, resolve);
  });
  if (!response.startsWith('2')) {
    throw Object.assign(new Error(`MAIL FROM was refused: ${response}`), { command: 'MAIL FROM', response });
  }
  await whenDone((done) => connection.reset(done));
  return response;
}

function whenDone(start: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())));
}

/**
 * Reads the steps from nodemailer's log. Without pipelining, lines of the client and the server alternate there; with it,
 * the replies still come in the order of the commands. nodemailer masks logins.
 */
class StepLog {
  readonly progress: Progress = { connected: true, greeted: false, began: false, handedOver: false };
  certificateEndsAt: Date | undefined;
  readonly #onStep: (step: Step) => void;
  readonly #onHandedOver: () => void;
  readonly #asked: StepName[] = ['connect'];
  readonly #done = new Set<StepName>();
  readonly #isGreeting = watchGreeting();
  #wasRefused = false;

  constructor(onStep: (step: Step) => void, onHandedOver: () => void) {
    this.#onStep = onStep;
    this.#onHandedOver = onHandedOver;
  }

  readonly note = (entry: unknown, text: unknown): void => {
    const tnx = (entry as { tnx?: unknown } | null)?.tnx;
    if (this.#isGreeting(tnx, text)) this.progress.greeted = true;
    if (tnx === 'client') this.#noteCommand(String(text));
    if (tnx === 'server') this.#noteReply(String(text));
    if (tnx === 'message' && !this.progress.handedOver) {
      this.progress.handedOver = true;
      this.#asked.push('accepted');
      this.#onHandedOver();
    }
  };

  report(step: StepName, isOk: boolean, detail: string): void {
    if (this.#done.has(step)) return;
    this.#done.add(step);
    this.#onStep({ step, isOk, detail: cleanReply(detail) });
  }

  reportFailure(detail: string, isAboutTls = false): void {
    const isTls = isAboutTls && !this.progress.began && !this.#done.has('tls');
    this.report(isTls ? 'tls' : (order.find((step) => !this.#done.has(step)) ?? 'accepted'), false, detail);
  }

  /** TLS is reported when it is set up, with the version that was agreed on. */
  reportTls(connection: SMTPConnection): void {
    const socket = socketOf(connection) as Partial<TLSSocket> | undefined;
    if (!connection.secure || !socket?.getPeerCertificate || !socket.getProtocol) {
      this.report('tls', true, 'none: plain text on this machine');
      return;
    }
    const { valid_to: end, subject } = socket.getPeerCertificate();
    this.certificateEndsAt = end === undefined ? undefined : new Date(end);
    this.report('tls', true, `${socket.getProtocol()}, certificate of ${subject?.CN ?? '?'} until ${end}`);
  }

  #noteCommand(line: string): void {
    // A login may take several lines, which belong to the same step.
    const step = stepOf[line.split(' ')[0]?.toUpperCase() ?? ''] ?? this.#asked.at(-1) ?? 'login';
    if (step === 'mail') this.progress.began = true;
    this.#asked.push(step);
  }

  #noteReply(line: string): void {
    const step = this.#asked.shift();
    const isLast = (step === 'data' ? /^[2-5]\d\d\b/ : /^[245]\d\d\b/).test(line);
    if (step === undefined || !isLast) return;
    if (/^[45]/.test(line)) this.#wasRefused = true;
    // With pipelining, later commands are answered even after a refusal.
    else if (step !== 'tls' && !this.#wasRefused) this.report(step, true, line);
  }
}
