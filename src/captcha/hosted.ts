import type { Captcha, CaptchaKind, CaptchaVerdict } from './kinds.ts';

export type HostedKind = Exclude<CaptchaKind, 'none' | 'altcha'>;

/** All three providers speak the same protocol (reCAPTCHA's `siteverify`). */
const verifyUrls = {
  turnstile: 'https://challenges.cloudflare.com/turnstile/v0/siteverify',
  hcaptcha: 'https://api.hcaptcha.com/siteverify',
  recaptcha: 'https://www.google.com/recaptcha/api/siteverify',
} as const satisfies Record<HostedKind, string>;

/** A visitor is waiting. */
const timeoutMs = 3000;

/** In characters. A real answer has a few hundred. */
const maxAnswerLength = 16_384;

/** Error codes that say something about our settings or the provider, not about the solution. */
const otherFaults = /secret|internal-error|bad-request|invalid-keys/;

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
        return text.length > maxAnswerLength ? { result: 'unavailable' } : readAnswer(JSON.parse(text));
      } catch {
        return { result: 'unavailable' };
      }
    },
  };
}

function readAnswer(answer: { success?: unknown; score?: unknown; 'error-codes'?: unknown }): CaptchaVerdict {
  if (answer.success === true) {
    return typeof answer.score === 'number' && answer.score < minScore ? { result: 'wrong' } : { result: 'passed' };
  }
  if (answer.success !== false) return { result: 'unavailable' };
  const codes = Array.isArray(answer['error-codes']) ? answer['error-codes'].join(' ') : '';
  return { result: otherFaults.test(codes) ? 'unavailable' : 'wrong' };
}
