import type { AttemptOutcome } from '../../src/words.ts';
import { type RawScript, type RawStep, rawSteps, replyOf } from './raw-smtp-server.ts';

/** One reply as RFC 5321 §4.2.1 writes it: the same code on each line, `-` on all but the last. */
const orderly = /^(?:(\d{3})-[\t\x20-\x7e]*\r\n)*(\d{3})(?: [\t\x20-\x7e]*)?\r\n$/;

/** What a step needs to go on (RFC 5321 §4.3.2). */
const wanted: Readonly<Record<RawStep, RegExp>> = {
  greeting: /^220/,
  ehlo: /^2/,
  starttls: /^2/,
  auth: /^2/,
  mail: /^2/,
  rcpt: /^2/,
  data: /^3/,
  dot: /^2/,
};

/** The code of an orderly reply. */
export function orderlyCode(bytes: string): string | undefined {
  const [, , code] = orderly.exec(bytes) ?? [];
  return bytes.split('\r\n').every((line) => line === '' || line.startsWith(code ?? '?')) ? code : undefined;
}

/** The steps of a session, with or without TLS and a login. */
function stepsOf({ secure, login }: { secure: boolean; login: boolean }): RawStep[] {
  return rawSteps.filter((step) => (step !== 'starttls' || secure) && (step !== 'auth' || login));
}

/**
 * How an attempt may end, by RFC 5321 and docs: written without a look at the code. Undefined for a server that does not
 * follow RFC 5321, for which only the rules of `faultsOf` hold.
 */
export function expectedOf(
  script: RawScript,
  session: { secure: boolean; login: boolean },
): Set<AttemptOutcome> | undefined {
  // A client chooses how to log in by the answer to EHLO, and this server knows one way.
  if ((session.secure && script.tls !== true) || (session.login && script.ehlo)) return undefined;
  let [isGreeted, isLost] = [false, false];
  for (const step of stepsOf(session)) {
    const { bytes, after } = replyOf(script, step);
    const code = orderlyCode(bytes);
    // The client goes on with its login.
    if (step === 'auth' && code?.startsWith('3')) return undefined;
    const lost: AttemptOutcome = isGreeted ? (step === 'dot' ? 'unknown' : 'later') : 'away';
    if (isLost) return new Set([lost, 'later', ...(step === 'dot' ? (['unknown'] as const) : [])]);
    // Far more than the 512 bytes that a line of a reply may have (RFC 5321 §4.5.3.1.5) may be refused, or not.
    if (bytes.length > 60_000) return undefined;
    // What `classify` reads from the words is tested elsewhere.
    if (code === undefined || after === 'flood' || /#?4\.\d|full|again/.test(bytes)) return undefined;
    const ends = wanted[step].test(code) ? undefined : refusal(step, code);
    if (ends !== undefined) {
      const end = ends === 'later' && !isGreeted ? 'away' : ends;
      // A reset may overtake the reply, and a connection may end before the reply to the fallback HELO.
      return new Set(after === undefined ? [end] : [end, lost, 'later']);
    }
    if (step === 'ehlo') isGreeted = true;
    isLost = after !== undefined;
    if (step === 'dot') return new Set(after === 'reset' ? ['accepted', 'unknown'] : ['accepted']);
  }
  return undefined;
}

/** A reply that a step cannot go on with. */
function refusal(step: RawStep, code: string): AttemptOutcome {
  const isAboutMail = step === 'rcpt' || step === 'data' || step === 'dot';
  if (/^[45]/.test(code) && step === 'starttls') return 'broken';
  // No login is possible here, whatever the reason (RFC 4954 §4 has 503 for a second one).
  if (step === 'auth' && code.startsWith('5')) return 'broken';
  if (code.startsWith('4') || code === '503') return 'later';
  // A login is asked for too late, or this one mailbox is full.
  if (isAboutMail && (/^53[0458]$/.test(code) || (step === 'rcpt' && code === '552'))) return 'later';
  if (code.startsWith('5')) return isAboutMail ? 'refused' : 'broken';
  // No refusal: a session out of step. After the dot nobody knows.
  return step === 'dot' ? 'unknown' : 'later';
}
