import { type Altcha, createAltcha } from './altcha.ts';
import { createHosted } from './hosted.ts';
import type { Captcha, CaptchaKind } from './kinds.ts';

/** The captchas that this program can check. */
export interface Captchas {
  /** Always available: it needs no provider. */
  readonly altcha: Altcha;
  /** @returns undefined for `none` and for a provider that is not configured. */
  of(kind: CaptchaKind): Captcha | undefined;
}

export function createCaptchas(
  configured: { kind: CaptchaKind; secret: string | undefined; verifyUrl: string | undefined },
  altchaSecret: string,
): Captchas {
  const altcha = createAltcha(altchaSecret);
  const { kind, secret, verifyUrl } = configured;
  const hosted =
    kind === 'none' || kind === 'altcha' || secret === undefined
      ? undefined
      : createHosted(kind, { secret, verifyUrl });
  return { altcha, of: (wanted) => (wanted === 'altcha' ? altcha : wanted === kind ? hosted : undefined) };
}
