import { type CaptchaKind, type CaptchaVerdict, solutionFields } from '../../captcha/kinds.ts';
import type { Form, MessageStatus } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { Suspicion } from '../../words.ts';
import { captchaOf } from '../forms/effective-settings.ts';
import { findOpenForm } from '../forms/forms.ts';
import type { Scope } from '../scope.ts';
import type { MessageContent } from '../sealed-values.ts';
import type { Submission } from './check-fields.ts';
import { findSuspicions } from './suspicions.ts';

/** What the guard says of a submission that it lets in. */
export interface GuardVerdict {
  status: MessageStatus;
  reasons: Suspicion[];
  captchaUse: { id: string; expiresAt: Date } | undefined;
}

/**
 * What was said of the captcha of one submission, by kinds. A provider lets a solution pass once, so it is not asked
 * again where a submission is judged by a newer form.
 */
export type CaptchaVerdicts = Map<CaptchaKind, CaptchaVerdict>;

/**
 * Decides whether a checked submission is accepted or held, as far as it shows by itself: what only the database knows
 * (a blocked sender, one text from many) the statement that stores adds. Nothing is ever dropped: only a captcha that
 * is missing or wrong refuses, and says so, so that a person can try again.
 *
 * @throws {Problem} captcha-required, captcha-wrong
 */
export async function guardSubmission(
  scope: Scope,
  form: Form,
  submission: Submission,
  content: MessageContent,
  known: CaptchaVerdicts,
): Promise<GuardVerdict> {
  const kind = captchaOf(scope, form);
  const captcha: CaptchaVerdict =
    kind === 'none' ? { result: 'passed' } : (known.get(kind) ?? (await checkCaptcha(scope, form, kind, submission)));
  known.set(kind, captcha);
  if (captcha.result === 'wrong') {
    throw new Problem('captcha-wrong', 'the captcha is not solved, or its time is over', { captcha: kind });
  }
  const reasons = [
    ...findSuspicions(content, submission.values),
    ...(captcha.result === 'unavailable' ? (['captcha-unavailable'] as const) : []),
  ];
  return {
    status: reasons.length > 0 ? 'held' : 'accepted',
    reasons,
    captchaUse: captcha.result === 'passed' ? captcha.use : undefined,
  };
}

async function checkCaptcha(
  scope: Scope,
  form: Form,
  kind: Exclude<CaptchaKind, 'none'>,
  submission: Submission,
): Promise<CaptchaVerdict> {
  const solution = submission.values.get(solutionFields[kind]);
  if (typeof solution !== 'string' || solution.trim() === '') {
    throw new Problem('captcha-required', 'this form asks for a solved captcha', { captcha: kind });
  }
  // A hosted captcha that a form asks for and the environment does not know can be solved by nobody.
  const verdict = await scope.captchas
    .of(kind)
    ?.check(solution, { formSlug: form.slug, clientAddress: submission.clientAddress });
  return verdict ?? { result: 'unavailable' };
}

/**
 * A fresh ALTCHA challenge, bound to a form.
 *
 * @throws {Problem} form-unknown, form-closed, route-unknown where the form asks for none.
 */
export async function createChallenge(scope: Scope, formSlug: string): Promise<object> {
  const form = await findOpenForm(scope, formSlug);
  if (captchaOf(scope, form) !== 'altcha') throw new Problem('route-unknown', 'this form asks for no ALTCHA captcha');
  return await scope.captchas.altcha.createChallenge(form.slug);
}
