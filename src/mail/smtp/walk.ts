import type { TLSSocket } from 'node:tls';
import type { Step, StepName, Walk } from '../mailer.ts';
import type { Built } from '../mime.ts';
import { classify, type Progress } from './classify.ts';
import { type ConnectionOptions, outcomeOf } from './lane.ts';
import { SMTPConnection, socketOf } from './nodemailer-internals.ts';
import { cleanReply } from './reply.ts';
import { askForSender } from './verify.ts';

/** The command that a client line begins with, and what it is for. */
const stepOf: Readonly<Record<string, StepName>> = {
  EHLO: 'connect',
  HELO: 'connect',
  STARTTLS: 'tls',
  AUTH: 'login',
  MAIL: 'mail',
  RCPT: 'rcpt',
  DATA: 'data',
};

/**
 * Goes the way of a mail on a connection of its own, and tells of each step as it is taken: connect, TLS, login,
 * MAIL, RCPT, DATA, and the server's word after the final dot. With a sender in place of a mail it ends after MAIL.
 *
 * What was said is read off nodemailer's log, where the client's and the server's lines alternate but for
 * pipelining; answers come in the order of the commands. Logins are masked there.
 */
export async function walkSmtp(
  options: ConnectionOptions,
  built: Built | string,
  limits: { readonly deadlineMs: number; readonly answerMs: number },
  onStep: (step: Step) => void,
): Promise<Walk> {
  const asked: StepName[] = ['connect'];
  const done = new Set<StepName>();
  const progress: Progress = { connected: true, began: false, handedOver: false };
  let refused = false;
  const tell = (step: StepName, isOk: boolean, detail: string) => {
    if (done.has(step)) return;
    done.add(step);
    onStep({ step, isOk, detail: cleanReply(detail) });
  };
  const note = (entry: unknown, text: unknown) => {
    const tnx = (entry as { tnx?: unknown } | null)?.tnx;
    if (tnx === 'client') {
      const step = stepOf[String(text).split(' ')[0]?.toUpperCase() ?? ''] ?? asked.at(-1) ?? 'login';
      if (step === 'mail') progress.began = true;
      asked.push(step);
    } else if (tnx === 'message' && !progress.handedOver) {
      progress.handedOver = true;
      asked.push('accepted');
      endAfter(limits.answerMs);
      socketOf(connection)?.setTimeout(0);
    } else if (tnx === 'server') {
      const step = asked.shift();
      // A login may take several lines; TLS is reported once it is set up, with the agreed version.
      const isLast = (step === 'data' ? /^[2-5]\d\d\b/ : /^[245]\d\d\b/).test(String(text));
      if (step === undefined || !isLast) return;
      if (/^[45]/.test(String(text))) refused = true;
      // With pipelining the answers to later commands come all the same.
      else if (step !== 'tls' && !refused) tell(step, true, String(text));
    }
  };
  const connection = new SMTPConnection({
    ...options,
    debug: true,
    transactionLog: true,
    logger: { trace: note, debug: note, info: note, warn: note, error: note, fatal: note } as never,
  });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let timer: NodeJS.Timeout | undefined;
  const endAfter = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => reject(new Error('no end within the deadline')), ms);
  };
  endAfter(limits.deadlineMs);
  connection.on('error', reject);
  // What the server said before it closed comes first.
  connection.once('end', () => setImmediate(() => reject(new Error('the server closed the connection'))));
  let certificateEndsAt: Date | undefined;
  connection.connect((error) => {
    if (error) return reject(error);
    const socket = socketOf(connection) as Partial<TLSSocket> | undefined;
    if (connection.secure && socket?.getPeerCertificate && socket.getProtocol) {
      const { valid_to: end, subject } = socket.getPeerCertificate();
      certificateEndsAt = end === undefined ? undefined : new Date(end);
      tell('tls', true, `${socket.getProtocol()}, certificate of ${subject?.CN ?? '?'} until ${end}`);
    } else tell('tls', true, 'none: plain text on this machine');
    const onLogin = (error?: Error | null) => {
      if (error) return reject(error);
      if (!options.auth) tell('login', true, 'none: no SMTP_USER');
      if (typeof built === 'string') {
        return askForSender(connection, built, (refused, answer) => (refused ? reject(refused) : resolve(answer)));
      }
      const { from, to } = built.envelope;
      connection.send({ from, to: [...to] }, built.raw, (unsent, info) =>
        unsent ? reject(unsent) : resolve(info?.response ?? ''),
      );
    };
    if (options.auth) connection.login(options.auth, onLogin);
    else onLogin();
  });
  try {
    const reply = await promise;
    connection.quit();
    const outcome = outcomeOf(reply);
    if (outcome.result !== 'accepted') tell(next(done), false, reply);
    return { outcome, certificateEndsAt };
  } catch (error) {
    connection.close();
    const failure = error as Parameters<typeof classify>[0];
    const outcome = classify(failure, progress);
    const about = `${failure.code} ${failure.originalCode} ${failure.message}`;
    const isTls = !progress.began && !done.has('tls') && /TLS|SSL|CERT|EPROTO\b|certificate/i.test(about);
    tell(isTls ? 'tls' : next(done), false, outcome.reply);
    return { outcome, certificateEndsAt };
  } finally {
    clearTimeout(timer);
  }
}

const order: readonly StepName[] = ['connect', 'tls', 'login', 'mail', 'rcpt', 'data', 'accepted'];

function next(done: ReadonlySet<StepName>): StepName {
  return order.find((step) => !done.has(step)) ?? 'accepted';
}
