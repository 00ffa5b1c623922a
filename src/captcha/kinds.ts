/** The protection of a form against spam. `none` lets every post through. */
export const captchaKinds = ['none', 'altcha', 'turnstile', 'hcaptcha', 'recaptcha'] as const;
export type CaptchaKind = (typeof captchaKinds)[number];

/** The name of the posted field with the solution, as each kind's widget sets it. */
export const solutionFields = {
  altcha: 'altcha',
  turnstile: 'cf-turnstile-response',
  hcaptcha: 'h-captcha-response',
  recaptcha: 'g-recaptcha-response',
} as const satisfies Record<Exclude<CaptchaKind, 'none'>, string>;

/** Where a widget was solved. Its `action` is a name that the page gives it, if any. */
export interface SolvedPage {
  hostname: string | undefined;
  action: string | undefined;
}

export type CaptchaVerdict =
  /**
   * `use` identifies a solution that must not be accepted twice. Providers prevent that themselves and give none. They say on
   * which page it was solved.
   */
  | { result: 'passed'; use?: { id: string; expiresAt: Date }; page?: SolvedPage }
  | { result: 'wrong' }
  /** The provider does not answer. */
  | { result: 'unavailable' };

/** One way to tell people from bots. */
export interface Captcha {
  /** Never throws for a malformed solution. */
  check(solution: string, given: { formSlug: string; clientAddress: string | undefined }): Promise<CaptchaVerdict>;
}

/** Of Turnstile, hCaptcha and reCAPTCHA: their published secrets for tests, which pass (or refuse) every solution. */
const testSecrets = /^([123]x0+AA|0x0+|6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe)$/;

export function isTestSecret(secret: string | undefined): boolean {
  return testSecrets.test(secret ?? '');
}
