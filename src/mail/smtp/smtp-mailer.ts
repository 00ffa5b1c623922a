import { isIPv6 } from 'node:net';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { isLoopback } from '../../network/ip-network.ts';
import type { Mail, Mailer, Outcome, SendOptions } from '../mailer.ts';
import { buildMime, UnsendableMail } from '../mime.ts';
import { classify } from './classify.ts';
import { type Security, securityFor } from './defaults.ts';
import { type ConnectionOptions, SmtpLane } from './lane.ts';
import { walkSmtp } from './walk.ts';

export interface SmtpOptions {
  readonly host: string;
  readonly port: number;
  /** By default `securityFor` the host and port. */
  readonly security?: Security;
  /** With a user, a server that offers no login is broken; we do not go on without one. */
  readonly user?: string;
  readonly password?: string;
  /** The bare address that every mail is from. `verify` asks whether the server accepts it. */
  readonly from: string;
  /** The name to send in EHLO; by default the machine's. */
  readonly helloName?: string;
  /** Further trusted certificates, or the name that the certificate must have. Required TLS always checks certificates. */
  readonly tls?: Pick<TlsOptions, 'ca' | 'servername'>;
  /** How many mails can be sent at the same time; 10 by default. */
  readonly lanes?: number;
  /** Max time until a mail is handed over. */
  readonly deadlineMs?: number;
  /** Max wait for the reply to the final dot. RFC 5321 §4.5.3.2.6: 10 minutes, since giving up earlier sends duplicates. */
  readonly answerMs?: number;
  /** Max time for DNS, connection and TLS handshake together, and for the greeting. */
  readonly connectMs?: number;
  /** Before the final dot: max silence of the server. Has an effect only if shorter than the deadline. */
  readonly silenceMs?: number;
  /** An unused connection is closed (with QUIT) after this time. */
  readonly idleMs?: number;
}

const stopped: Outcome = { result: 'later', reply: 'stopped before the mail was handed over' };

/**
 * Sends over SMTP in lanes. Each has a connection of its own and sends one mail at a time, because only then does
 * nodemailer's log say which mail's final dot has left (see `SmtpLane`).
 */
export function createSmtpMailer(options: SmtpOptions): Mailer {
  const { deadlineMs = 60_000, answerMs = 600_000 } = options;
  const connection = connectionOptions(options);
  const lanes = Array.from({ length: options.lanes ?? 10 }, () => new SmtpLane(connection, options.idleMs ?? 10_000));
  // The lane that was used last comes first, since its connection is still open. One that has none comes last: a server that
  // limits our connections counts the open ones.
  const free = [...lanes];
  const closing = new AbortController();
  const limits = { deadlineMs, answerMs, closing: closing.signal };
  const inFlight = new Set<Promise<Outcome>>();
  const walk: Mailer['walk'] = async (mail, onStep) => {
    try {
      return await walkSmtp(connection, mail ? buildMime(mail) : options.from, limits, onStep);
    } catch (error) {
      if (error instanceof UnsendableMail) return { outcome: error.outcome, certificateEndsAt: undefined };
      throw error;
    }
  };

  return {
    lanes: lanes.length,
    describes: `smtp://${isIPv6(options.host) ? `[${options.host}]` : options.host}:${options.port}`,
    walk,
    verify: async () => (await walk(undefined, () => {})).outcome,
    async send(mail: Mail, sendOptions: SendOptions = {}) {
      if (closing.signal.aborted) return stopped;
      const lane = free.pop();
      if (lane === undefined) return { result: 'later', reply: 'all lanes are busy' };
      const sending = sendInLane(lane, mail, limits, sendOptions);
      inFlight.add(sending);
      const outcome = await sending;
      inFlight.delete(sending);
      if (outcome.result === 'away') free.unshift(lane);
      else free.push(lane);
      return outcome;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await Promise.allSettled(inFlight);
      for (const lane of lanes) lane.close();
    },
  };
}

/** Never throws. */
async function sendInLane(
  lane: SmtpLane,
  mail: Mail,
  { deadlineMs, answerMs, closing }: { deadlineMs: number; answerMs: number; closing: AbortSignal },
  { signal, abandon, beforeText, onHandedOver }: SendOptions,
): Promise<Outcome> {
  // Not AbortSignal.timeout: that does not keep the process alive until the attempt has ended.
  const deadline = new AbortController();
  let timer = setTimeout(() => deadline.abort(), deadlineMs);
  const handedOver = () => {
    clearTimeout(timer);
    timer = setTimeout(() => deadline.abort(), answerMs);
    onHandedOver?.();
  };
  const hard = AbortSignal.any([deadline.signal, closing, ...(abandon ? [abandon] : [])]);
  const soft = signal ? AbortSignal.any([hard, signal]) : hard;
  try {
    const built = buildMime(mail);
    if (soft.aborted) return stopped;
    const outcome = await lane.send(built, { hard, soft, handedOver, beforeText });
    // We ended it while the server was silent: that says nothing about the server.
    return outcome.result === 'away' && (signal?.aborted || closing.aborted) ? stopped : outcome;
  } catch (error) {
    if (error instanceof UnsendableMail) return error.outcome;
    return classify(error as Error, { connected: false, greeted: true, began: false, handedOver: false });
  } finally {
    clearTimeout(timer);
  }
}

function connectionOptions(options: SmtpOptions): ConnectionOptions {
  const { host, port, user, password, helloName, connectMs = 15_000, silenceMs = 30_000 } = options;
  const { security = securityFor(host, port) } = options;
  // Do not ask the resolver where "localhost" is: mail in plain text might go to another machine.
  const loopbackName = host.toLowerCase() === 'localhost';
  return {
    host: loopbackName ? '127.0.0.1' : host,
    port,
    secure: security === 'implicit',
    requireTLS: security === 'starttls',
    opportunisticTLS: security === 'opportunistic',
    tls: {
      minVersion: 'TLSv1.2',
      ...(loopbackName ? { servername: 'localhost' } : {}),
      // The certificate of a mail server on this machine usually has another name, and plain text is allowed there
      // anyway. For any other host, a certificate that cannot be verified is refused.
      ...(security === 'opportunistic' && isLoopback(host) && !options.tls?.ca ? { rejectUnauthorized: false } : {}),
      ...options.tls,
    },
    ...(user === undefined ? {} : { auth: { user, pass: password ?? '' }, forceAuth: true }),
    ...(helloName === undefined ? {} : { name: helloName }),
    connectionTimeout: connectMs,
    greetingTimeout: connectMs,
    dnsTimeout: connectMs,
    socketTimeout: silenceMs,
    // How long a closed connection waits for the other side; the process cannot end sooner.
    socketCloseTimeout: 500,
    maxResponseSize: 64 * 1024,
  };
}
