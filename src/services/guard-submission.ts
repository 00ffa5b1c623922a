import { normaliseAddress } from '../address.ts';
import type { CaptchaVerdict } from '../captcha/captcha.ts';
import { solutionFields } from '../captcha-kinds.ts';
import { runStatement, type Statement } from '../database/statement.ts';
import type { Form, MessageStatus } from '../entities/index.ts';
import { Problem } from '../problems.ts';
import type { Submission } from './check-fields.ts';
import { captchaOf } from './forms.ts';
import type { MessageContent } from './message-content.ts';
import { comparableText, isLong } from './repetition.ts';
import type { Scope } from './scope.ts';
import { findSuspicions, type Suspicion } from './suspicions.ts';

/** So many other addresses sending one long text within a day are no coincidence. */
const sameTextSenders = 3;

/** What the guard says of a submission that it lets in. */
export interface GuardVerdict {
  status: MessageStatus;
  reasons: Suspicion[];
  captchaUse: { id: string; expiresAt: Date } | undefined;
}

/**
 * Decides whether a checked submission is accepted or held. Nothing is ever dropped: only a captcha that is missing
 * or wrong refuses, and says so, so that a person can try again.
 *
 * @throws {Problem} captcha-required, captcha-wrong
 */
export async function guardSubmission(
  scope: Scope,
  form: Form,
  submission: Submission,
  content: MessageContent,
): Promise<GuardVerdict> {
  const captcha = await checkCaptcha(scope, form, submission);
  const reasons = [
    ...findSuspicions(content, submission.values),
    ...(await findKnownSuspicions(scope, content)),
    ...(captcha.result === 'unavailable' ? (['captcha-unavailable'] as const) : []),
  ];
  return {
    status: reasons.length > 0 ? 'held' : 'accepted',
    reasons,
    captchaUse: captcha.result === 'passed' ? captcha.use : undefined,
  };
}

async function checkCaptcha(scope: Scope, form: Form, submission: Submission): Promise<CaptchaVerdict> {
  const kind = captchaOf(scope, form);
  if (kind === 'none') return { result: 'passed' };
  const solution = submission.values.get(solutionFields[kind]);
  if (typeof solution !== 'string' || solution.trim() === '') {
    throw new Problem('captcha-required', 'this form asks for a solved captcha');
  }
  // A hosted captcha that a form asks for and the environment does not know can be solved by nobody.
  const verdict = await scope.captchas
    .of(kind)
    ?.check(solution, { formSlug: form.slug, clientAddress: submission.clientAddress });
  if (verdict?.result === 'wrong') throw new Problem('captcha-wrong', 'the captcha is not solved, or its time is over');
  return verdict ?? { result: 'unavailable' };
}

const knownStatement: Statement = {
  name: 'guard_known_1',
  text: `
select
  exists (select from senders where address_index = $1::bytea and blocked_at is not null) as blocked,
  (select count(*)::int from (
    select distinct sender_id from messages
    where text_index = $2::bytea and received_at > now() - interval '1 day'
      and sender_id not in (select id from senders where address_index = $1::bytea)
    limit ${sameTextSenders}
  ) as others) as others`,
};

async function findKnownSuspicions(scope: Scope, content: MessageContent): Promise<Suspicion[]> {
  const addressIndex = scope.keyring.addressIndex(normaliseAddress(content.address));
  const textIndex = isLong(content.text) ? scope.keyring.textIndex(comparableText(content.text)) : null;
  const [known] = await runStatement<{ blocked: boolean; others: number }>(scope.em, knownStatement, [
    addressIndex,
    textIndex,
  ]);
  return [
    ...(known?.blocked ? (['sender-blocked'] as const) : []),
    ...((known?.others ?? 0) >= sameTextSenders ? (['same-text-from-many'] as const) : []),
  ];
}
