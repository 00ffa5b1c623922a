import { isIPv6 } from 'node:net';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { isLoopback } from '../../ip-network.ts';
import type { Mail, Mailer, Outcome, SendOptions } from '../mailer.ts';
import { buildMime, UnsendableMail } from '../mime.ts';
import { classify } from './classify.ts';
import { type ConnectionOptions, SmtpLane } from './lane.ts';
import type { Security } from './security.ts';
import { verifySmtp } from './verify.ts';
import { walkSmtp } from './walk.ts';

export interface SmtpOptions {
  readonly host: string;
  readonly port: number;
  /** See `securityFor`. */
  readonly security: Security;
  /** With a user, a server that offers no login is a fault, not an invitation to go on without. */
  readonly user?: string;
  readonly password?: string;
  /** The bare address that every mail is from, for asking whether the server takes it. */
  readonly from: string;
  /** The name given in EHLO, see `helloNameFor`; by default the machine's. */
  readonly helloName?: string;
  /** Extra trust, or the name the certificate must carry. Certificates are always checked where TLS is required. */
  readonly tls?: Pick<TlsOptions, 'ca' | 'servername'>;
  /** How many mails go at the same time, 10 by default. */
  readonly lanes?: number;
  /** The hard end of a try that has not handed its mail over. */
  readonly deadlineMs?: number;
  /** How long the answer after the final dot is waited for: RFC 5321 §4.5.3.2.6 asks for 10 minutes, since giving up earlier sends duplicates. */
  readonly answerMs?: number;
  /** For name, connection and handshake together, and for the greeting. */
  readonly connectMs?: number;
  /** Before the final dot: a server that says nothing for so long is gone. Must stay below the deadline to have an effect. */
  readonly silenceMs?: number;
  /** An unused connection is closed (with QUIT) after this time. */
  readonly idleMs?: number;
}

const stopped: Outcome = { result: 'later', reply: 'stopped before the mail was handed over' };

/**
 * Sends over SMTP in lanes, each with a connection of its own and one mail at a time: only so can
 * nodemailer's log tell of which mail the final dot has left, see `SmtpLane`.
 */
export function createSmtpMailer(options: SmtpOptions): Mailer {
  const { deadlineMs = 60_000, answerMs = 600_000 } = options;
  const connection = connectionOptions(options);
  const lanes = Array.from({ length: options.lanes ?? 10 }, () => new SmtpLane(connection, options.idleMs ?? 10_000));
  // The lane used last comes first, since its connection is still warm.
  const free = [...lanes];
  const waiting: Array<(lane: SmtpLane | undefined) => void> = [];
  const closing = new AbortController();
  const inFlight = new Set<Promise<Outcome>>();

  async function takeLane(stop: AbortSignal): Promise<SmtpLane | undefined> {
    if (stop.aborted) return undefined;
    const lane = free.pop();
    if (lane) return lane;
    return await new Promise((resolve) => {
      const giveUp = () => {
        waiting.splice(waiting.indexOf(take), 1);
        resolve(undefined);
      };
      const take = (freed: SmtpLane | undefined) => {
        stop.removeEventListener('abort', giveUp);
        resolve(freed);
      };
      stop.addEventListener('abort', giveUp, { once: true });
      waiting.push(take);
    });
  }

  function giveBack(lane: SmtpLane): void {
    const next = waiting.shift();
    if (next) next(lane);
    else free.push(lane);
  }

  async function send(mail: Mail, { signal, abandon, onHandedOver }: SendOptions): Promise<Outcome> {
    // Our own timer, not AbortSignal.timeout: that one does not keep the process alive until the try has ended.
    const deadline = new AbortController();
    let timer = setTimeout(() => deadline.abort(), deadlineMs);
    const handedOver = () => {
      clearTimeout(timer);
      timer = setTimeout(() => deadline.abort(), answerMs);
      onHandedOver?.();
    };
    const hard = AbortSignal.any([deadline.signal, closing.signal, ...(abandon ? [abandon] : [])]);
    const soft = signal ? AbortSignal.any([hard, signal]) : hard;
    try {
      const built = buildMime(mail);
      if (built.envelope.to.length !== 1) throw new UnsendableMail('refused', 'not sendable: exactly one recipient');
      const lane = await takeLane(soft);
      if (!lane) return deadline.signal.aborted ? { result: 'later', reply: 'no lane became free in time' } : stopped;
      try {
        return await lane.send(built, { hard, soft, handedOver });
      } finally {
        giveBack(lane);
      }
    } catch (error) {
      if (error instanceof UnsendableMail) return error.outcome;
      return classify(error as Error, { connected: false, began: false, handedOver: false });
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    lanes: lanes.length,
    deadlineMs,
    describes: `smtp://${isIPv6(options.host) ? `[${options.host}]` : options.host}:${options.port}`,
    async send(mail: Mail, options: SendOptions = {}) {
      if (closing.signal.aborted) return stopped;
      const outcome = send(mail, options);
      inFlight.add(outcome);
      try {
        return await outcome;
      } finally {
        inFlight.delete(outcome);
      }
    },
    verify: () => verifySmtp(connection, options.from, deadlineMs, closing.signal),
    async walk(mail, onStep) {
      try {
        return await walkSmtp(connection, mail ? buildMime(mail) : options.from, { deadlineMs, answerMs }, onStep);
      } catch (error) {
        if (error instanceof UnsendableMail) return { outcome: error.outcome, certificateEndsAt: undefined };
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await Promise.allSettled(inFlight);
      for (const lane of lanes) lane.close();
    },
  };
}

function connectionOptions(options: SmtpOptions): ConnectionOptions {
  const { host, port, security, user, password, helloName, connectMs = 15_000, silenceMs = 30_000 } = options;
  const opportunistic = security === 'opportunistic';
  // The resolver must not decide where "this machine" is: plain text would follow it anywhere.
  const loopbackName = host.toLowerCase() === 'localhost';
  return {
    host: loopbackName ? '127.0.0.1' : host,
    port,
    secure: security === 'implicit',
    requireTLS: security === 'starttls',
    opportunisticTLS: opportunistic,
    tls: {
      minVersion: 'TLSv1.2',
      ...(loopbackName ? { servername: 'localhost' } : {}),
      // A mail server on this machine mostly has a certificate in another name, and plain text is allowed there
      // anyway. To any other host a certificate that cannot be verified is the end of it.
      ...(opportunistic && isLoopback(host) && !options.tls?.ca ? { rejectUnauthorized: false } : {}),
      ...options.tls,
    },
    ...(user === undefined ? {} : { auth: { user, pass: password ?? '' }, forceAuth: true }),
    ...(helloName === undefined ? {} : { name: helloName }),
    connectionTimeout: connectMs,
    greetingTimeout: connectMs,
    dnsTimeout: connectMs,
    socketTimeout: silenceMs,
    // How long a closed connection may wait for the other side before it is torn down; the process cannot end sooner.
    socketCloseTimeout: 500,
    maxResponseSize: 64 * 1024,
  };
}
