import { type CaptchaKind, type CaptchaVerdict, type SolvedPage, solutionFields } from '../../captcha/kinds.ts';
import type { Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { MessageStatus, Suspicion } from '../../words.ts';
import { captchaOf } from '../forms/effective-settings.ts';
import { findOpenForm } from '../forms/forms.ts';
import { isAllowedHost } from '../forms/origins.ts';
import type { Scope } from '../scope.ts';
import type { MessageContent } from '../sealed-values.ts';
import type { Submission } from './check-fields.ts';
import { findSuspicions } from './suspicions.ts';

/** The guard's verdict on a submission that it lets in. */
export interface GuardVerdict {
  status: MessageStatus;
  reasons: Suspicion[];
  captchaUse: { id: string; expiresAt: Date } | undefined;
}

/**
 * Verdicts about one submission's captcha, by kind. A provider accepts a solution only once, so it is not asked again if the
 * form changes and the submission is judged again.
 */
export type CaptchaVerdicts = Map<CaptchaKind, CaptchaVerdict>;

/**
 * Decides from the submission alone whether it is accepted or held. The statement that stores it also holds posts of
 * blocked senders and texts that many senders sent. Nothing is dropped. Only a missing or wrong captcha refuses a post, and
 * the response says so, so that a person can try again.
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
  if (captcha.result === 'wrong' || (captcha.result === 'passed' && !isSolvedFor(scope, form, captcha.page))) {
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

/** The action in Google's examples, which many pages kept. */
const exampleAction = 'submit';

/**
 * Whether a hosted captcha was solved on a page of the form, and for the form if the page names an action. A site key may be in
 * use on other pages, and a program can solve it there.
 */
function isSolvedFor(scope: Scope, form: Form, page: SolvedPage | undefined): boolean {
  const hostname = page?.hostname?.toLowerCase();
  const action = page?.action;
  const isOurs =
    (hostname === undefined || isAllowedHost(scope.config, form, hostname)) &&
    (action === undefined || [form.slug, exampleAction].some((it) => actionOf(it) === actionOf(action)));
  if (!isOurs) {
    scope.log.warn(
      { form: form.slug, hostname, action },
      'a captcha was solved for another page: its host must be an origin of the form, and its action, if any, the name of the form or submit',
    );
  }
  return isOurs;
}

/** reCAPTCHA allows no hyphens in an action. */
function actionOf(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
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
  // The form may require a hosted captcha that the environment does not configure: nobody can solve it.
  const verdict = await scope.captchas
    .of(kind)
    ?.check(solution, { formSlug: form.slug, clientAddress: submission.clientAddress });
  return verdict ?? { result: 'unavailable' };
}

/**
 * Makes an ALTCHA challenge for one form.
 *
 * @throws {Problem} form-unknown, form-closed, route-unknown if the form does not use ALTCHA.
 */
export async function createChallenge(scope: Scope, formSlug: string): Promise<object> {
  const form = await findOpenForm(scope, formSlug);
  if (captchaOf(scope, form) !== 'altcha') throw new Problem('route-unknown', 'this form asks for no ALTCHA captcha');
  return await scope.captchas.altcha.createChallenge(form.slug);
}
