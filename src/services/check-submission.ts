import type { Form } from '../entities/index.ts';
import { checkFields, type Submission } from './check-fields.ts';
import { refuseForeignOrigin } from './forms/origins.ts';
import type { Scope } from './scope.ts';
import type { MessageContent } from './sealed-values.ts';

/**
 * Finds out whether a form takes a submission, and stores nothing.
 *
 * @throws {Problem} origin-refused, fields-invalid
 */
export function checkSubmission(
  { config }: Pick<Scope, 'config'>,
  form: Pick<Form, 'origins' | 'requiredFields'>,
  submission: Submission,
): MessageContent {
  refuseForeignOrigin(config, form, submission.origin);
  return checkFields(submission.values, form.requiredFields ?? []);
}
