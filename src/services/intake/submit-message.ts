import type { Form } from '../../entities/index.ts';
import { readLanguage } from '../../languages/languages.ts';
import { Problem } from '../../problems.ts';
import type { NoReplyReason } from '../../words.ts';
import { captchaOf, languageOf, notifyLimitOf, ownersOf, recipientsOf } from '../forms/effective-settings.ts';
import { formClosed } from '../forms/forms.ts';
import { refuseForeignOrigin } from '../forms/origins.ts';
import type { Scope } from '../scope.ts';
import { mayReplyTo } from '../senders/reply-rules.ts';
import { type Checked, checkFields, type Submission } from './check-fields.ts';
import { findRepeats, postIdentity } from './find-repeats.ts';
import { type CaptchaVerdicts, type GuardVerdict, guardSubmission } from './guard-submission.ts';
import type { Intake } from './intake.ts';
import { withOpenForm } from './open-forms.ts';
import type { Stored, StoreResult, Verdict } from './verdict.ts';

/** What was stored, and the form. */
export interface Submitted extends Stored {
  form: Form;
  /** Whether it was stored before. Then this is the answer to that first post. */
  repeated: boolean;
}

/**
 * Checks, judges and stores one submission, and queues its emails in the same transaction; `delivery-loop.ts` sends them
 * later. Held, accepted and repeated submissions get the same kind of answer, so that a bot does not learn what happened.
 *
 * @throws {Problem} form-unknown, form-closed, origin-refused, fields-invalid, captcha-required, captcha-wrong,
 *   idempotency-key-invalid, idempotency-key-reused, repeat-in-progress. Then nothing is stored.
 */
export async function submitMessage(scope: Scope, intake: Intake, submission: Submission): Promise<Submitted> {
  const captchas: CaptchaVerdicts = new Map();
  return await withOpenForm(scope, intake.forms, submission.formSlug, async (form) => {
    const checked = checkSubmission(scope, form, submission);
    const { content } = checked;
    checkIdempotencyKey(submission.idempotencyKey);
    if (captchaOf(scope, form) !== 'none') {
      // The first post has used the captcha up. Without a captcha, the statement that stores finds repeats itself.
      const identity = postIdentity(scope.keyring, form.id, content, submission.idempotencyKey);
      const [repeat] = await findRepeats(scope, [{ form_id: form.id, ...identity }]);
      if (repeat !== undefined) return settle(form, repeat);
    }
    const guarded = await guardSubmission(scope, form, submission, content, captchas);
    return settle(form, await intake.store(judge(scope, form, submission, checked, guarded)));
  });
}

function checkIdempotencyKey(key: string | undefined): void {
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return;
  throw new Problem('idempotency-key-invalid', 'an Idempotency-Key is 1 to 255 printable characters without spaces');
}

function judge(
  scope: Scope,
  form: Form,
  submission: Submission,
  { content, otherAddresses }: Checked,
  guarded: GuardVerdict,
): Verdict {
  const { config } = scope;
  const owners = [...ownersOf(config, form), ...(form.routes ?? []).flatMap((it) => it.to)];
  const ownAddresses = [config.mailFrom.address, ...config.notifyTo, ...owners];
  const isOff = !(form.autoReply ?? config.autoReply);
  return {
    ...guarded,
    formId: form.id,
    formVersion: form.version,
    content,
    otherAddresses,
    clientAddress: submission.clientAddress,
    idempotencyKey: submission.idempotencyKey,
    notify: recipientsOf(config, form, content),
    notifyLimit: notifyLimitOf(form),
    limit:
      form.messageLimit == null
        ? undefined
        : { messages: form.messageLimit, whenFull: formClosed(form, 'this form is full') },
    noReply: isOff ? 'off' : whyNoReplyTo(content.address, ownAddresses),
  };
}

function whyNoReplyTo(address: string | undefined, own: readonly string[]): NoReplyReason | undefined {
  if (address === undefined) return 'no-address';
  return mayReplyTo(address, own) ? undefined : 'address';
}

function settle(form: Form, result: StoreResult): Submitted {
  if ('refused' in result) throw result.refused;
  const { stored, repeated } = result;
  return { ...stored, repeated, form };
}

/**
 * Checks whether a form accepts a submission. Stores nothing.
 *
 * @throws {Problem} origin-refused, fields-invalid
 */
export function checkSubmission({ config }: Pick<Scope, 'config'>, form: Form, submission: Submission): Checked {
  refuseForeignOrigin(config, form, submission.origin);
  const page = form.language === 'auto' ? readLanguage(submission.values.get('_language')) : undefined;
  const language = languageOf(config, form, page);
  const checked = checkFields(submission.values, form, { language, takesAnyFields: submission.takesAnyFields });
  if (page !== undefined) checked.content.language = page;
  return checked;
}
