import type { Captcha, CaptchaVerdict } from './captcha.ts';
import type { CaptchaKind } from './kinds.ts';

export type HostedKind = Exclude<CaptchaKind, 'none' | 'altcha'>;

/** Where each provider checks solutions. All three speak the same protocol (reCAPTCHA's `siteverify`). */
const verifyUrls = {
  turnstile: 'https://challenges.cloudflare.com/turnstile/v0/siteverify',
  hcaptcha: 'https://api.hcaptcha.com/siteverify',
  recaptcha: 'https://www.google.com/recaptcha/api/siteverify',
} as const satisfies Record<HostedKind, string>;

/** How long the provider may take; a visitor waits. */
const timeoutMs = 3000;

/** The answer is a few hundred bytes; whatever is larger is none. */
const longestAnswer = 16_384;

/** Errors that are ours or the provider's, and nobody's solution's. */
const notTheVisitors = /secret|internal-error|bad-request|invalid-keys/;

/** reCAPTCHA version 3 has no right and wrong, only a score from 0 (program) to 1 (person); Google's own threshold. */
const lowestScore = 0.5;

/**
 * A captcha of somebody else's. Providers let each solution pass once.
 *
 * @param options.verifyUrl another address that speaks the protocol, such as recaptcha.net.
 */
export function createHosted(kind: HostedKind, options: { secret: string; verifyUrl?: string | undefined }): Captcha {
  const url = options.verifyUrl ?? verifyUrls[kind];
  return {
    async check(solution, { clientAddress }) {
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
        if (!response.ok) return { result: 'unavailable' };
        const text = await response.text();
        return text.length > longestAnswer ? { result: 'unavailable' } : readAnswer(JSON.parse(text));
      } catch {
        return { result: 'unavailable' };
      }
    },
  };
}

function readAnswer(answer: { success?: unknown; score?: unknown; 'error-codes'?: unknown }): CaptchaVerdict {
  if (answer.success === true) {
    return typeof answer.score === 'number' && answer.score < lowestScore ? { result: 'wrong' } : { result: 'passed' };
  }
  if (answer.success !== false) return { result: 'unavailable' };
  const codes = Array.isArray(answer['error-codes']) ? answer['error-codes'].join(' ') : '';
  return { result: notTheVisitors.test(codes) ? 'unavailable' : 'wrong' };
}
