import type { Form } from '../entities/index.ts';
import { checkFields, type Submission } from './check-fields.ts';
import { findOpenForm } from './forms.ts';
import type { MessageContent } from './message-content.ts';
import { refuseForeignOrigin } from './origins.ts';
import type { Scope } from './scope.ts';

/**
 * Finds out whether a submission could be stored, and stores nothing.
 *
 * @throws {Problem} form-unknown, form-closed, origin-refused, fields-invalid
 */
export async function checkSubmission(
  scope: Scope,
  submission: Submission,
): Promise<{ form: Form; content: MessageContent }> {
  const form = await findOpenForm(scope, submission.formSlug);
  refuseForeignOrigin(scope.config, form, submission.origin);
  return { form, content: checkFields(submission.values, form.requiredFields ?? []) };
}
