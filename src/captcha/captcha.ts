export type CaptchaVerdict =
  /** `use` is what must not be taken a second time; providers that see to that themselves have none. */
  | { result: 'passed'; use?: { id: string; expiresAt: Date } }
  | { result: 'wrong' }
  /** The provider is away: nobody can tell. */
  | { result: 'unavailable' };

/** One way to tell people from programs. */
export interface Captcha {
  /** Never throws for a faulty solution. */
  check(solution: string, given: { formSlug: string; clientAddress: string | undefined }): Promise<CaptchaVerdict>;
}
