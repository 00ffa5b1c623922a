import { type Altcha, createAltcha } from './altcha.ts';
import type { Captcha } from './captcha.ts';
import { createHosted } from './hosted.ts';
import type { CaptchaKind } from './kinds.ts';

export type { Altcha } from './altcha.ts';
export type { Captcha, CaptchaVerdict } from './captcha.ts';

/** The captchas that this program can check. */
export interface Captchas {
  /** Always there: it needs nobody else. */
  readonly altcha: Altcha;
  /** Undefined for `none`, and for a hosted one that is not configured. */
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
