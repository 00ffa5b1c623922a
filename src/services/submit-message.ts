import type { Form } from '../entities/index.ts';
import type { Submission } from './check-fields.ts';
import { checkSubmission } from './check-submission.ts';
import type { MessageContent } from './message-content.ts';
import { mayReplyTo } from './reply-rules.ts';
import type { Scope } from './scope.ts';
import { type Stored, storeMessages, type Verdict } from './store-messages.ts';

/**
 * Takes one submission all the way to "we have it": believed, checked, stored, and its emails queued in the
 * same transaction. Sending happens later, in `delivery-loop.ts`.
 *
 * @throws {Problem} form-unknown, form-closed, origin-refused, fields-invalid. Nothing is stored in those cases.
 */
export async function submitMessage(scope: Scope, submission: Submission): Promise<Stored> {
  const { form, content } = await checkSubmission(scope, submission);
  const verdict = judge(scope, form, submission, content);
  const [stored] = await storeMessages(scope, [verdict]);
  // One verdict in, one answer out: `storeMessages` promises it.
  return stored as Stored;
}

function judge(scope: Scope, form: Form, submission: Submission, content: MessageContent): Verdict {
  const { config } = scope;
  const notify = form.recipients?.length ? form.recipients : config.notifyTo;
  const ownAddresses = [config.mailFrom.address, ...config.notifyTo, ...notify];
  return {
    formId: form.id,
    content,
    clientAddress: submission.clientAddress,
    status: 'accepted',
    reasons: [],
    notify,
    reply: (form.autoReply ?? config.autoReply) && mayReplyTo(content.address, ownAddresses),
  };
}
