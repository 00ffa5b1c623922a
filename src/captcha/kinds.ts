/** What can stand between a form and whoever floods it. `none` lets everybody through. */
export const captchaKinds = ['none', 'altcha', 'turnstile', 'hcaptcha', 'recaptcha'] as const;
export type CaptchaKind = (typeof captchaKinds)[number];

/** The posted field in which each kind's solution comes, as its widget names it. */
export const solutionFields = {
  altcha: 'altcha',
  turnstile: 'cf-turnstile-response',
  hcaptcha: 'h-captcha-response',
  recaptcha: 'g-recaptcha-response',
} as const satisfies Record<Exclude<CaptchaKind, 'none'>, string>;
