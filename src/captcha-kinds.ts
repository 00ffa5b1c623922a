/** What can stand between a form and whoever floods it. `none` lets everybody through. */
export const captchaKinds = ['none', 'altcha', 'turnstile', 'hcaptcha', 'recaptcha'] as const;
export type CaptchaKind = (typeof captchaKinds)[number];
