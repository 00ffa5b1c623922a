import { type Captcha, type CaptchaKind, type CaptchaVerdict, isTestSecret } from './kinds.ts';

export type HostedKind = Exclude<CaptchaKind, 'none' | 'altcha'>;

/** All three providers speak the same protocol (reCAPTCHA's `siteverify`). */
const verifyUrls = {
  turnstile: 'https://challenges.cloudflare.com/turnstile/v0/siteverify',
  hcaptcha: 'https://api.hcaptcha.com/siteverify',
  recaptcha: 'https://www.google.com/recaptcha/api/siteverify',
} as const satisfies Record<HostedKind, string>;

/** A visitor is waiting. */
const timeoutMs = 3000;

/** In characters. Real solutions have some 2000. */
const maxSolutionLength = 4096;

/** In bytes. A real answer has a few hundred. */
const maxAnswerLength = 16_384;

/** Error codes that say something about our settings or the provider, not about the solution. */
const otherFaults = /secret|internal-error|invalid-keys/;

/** reCAPTCHA 3 gives a score from 0 (program) to 1 (person). This is Google's own threshold. */
const minScore = 0.5;

/**
 * A captcha that a provider checks. The provider accepts each solution once.
 *
 * @param options.verifyUrl another address with the same protocol, such as recaptcha.net.
 */
export function createHosted(kind: HostedKind, options: { secret: string; verifyUrl?: string | undefined }): Captcha {
  const url = options.verifyUrl ?? verifyUrls[kind];
  return {
    async check(solution, { clientAddress }) {
      if (solution.length > maxSolutionLength) return { result: 'wrong' };
      try {
        const response = await fetch(url, {
          method: 'POST',
          body: new URLSearchParams({
            secret: options.secret,
            response: solution,
            ...(clientAddress && { remoteip: clientAddress }),
          }),
          redirect: 'error',
          signal: AbortSignal.timeout(timeoutMs),
        });
        // Some providers answer 4xx for a solution that they do not like. 429 is about our own requests.
        if (response.status >= 500 || response.status === 429) return { result: 'unavailable' };
        const verdict = readAnswer(JSON.parse(await readStart(response)));
        // With a test secret the provider names one of its own pages.
        return verdict.result === 'passed' && isTestSecret(options.secret) ? { result: 'passed' } : verdict;
      } catch {
        return { result: 'unavailable' };
      }
    },
  };
}

/** @throws if the answer is longer than any real one; then the rest is not read. */
async function readStart(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxAnswerLength) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

interface Answer {
  success?: unknown;
  score?: unknown;
  hostname?: unknown;
  action?: unknown;
  'error-codes'?: unknown;
}

function readAnswer(answer: Answer): CaptchaVerdict {
  if (answer.success === true) {
    if (typeof answer.score === 'number' && answer.score < minScore) return { result: 'wrong' };
    return { result: 'passed', page: { hostname: textOf(answer.hostname), action: textOf(answer.action) } };
  }
  if (answer.success !== false) return { result: 'unavailable' };
  const codes = Array.isArray(answer['error-codes']) ? answer['error-codes'].join(' ') : '';
  return { result: otherFaults.test(codes) ? 'unavailable' : 'wrong' };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
