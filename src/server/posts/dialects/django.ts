import type { FieldFault } from '../../../problems.ts';
import type { ProblemDetails } from '../../http/problem-details.ts';
import { type Dialect, sentence } from './dialect.ts';

/** The answers of the Django backend that this program replaces: Django REST framework answers invalid fields with 400. */
export const django: Dialect = {
  stored: ({ stored, submission: { values } }) => ({
    status: 201,
    body: {
      message: values.get('message'),
      message_sender: values.get('email') || values.get('_replyto'),
      date: [values.get('date')].flat().join(', ') || stored.receivedAt.toISOString(),
    },
  }),
  problem: (details) => ({
    ...(details.code === 'fields-invalid' && { status: 400 }),
    type: 'application/json; charset=utf-8',
    body: details.errors === undefined ? { detail: detailOf(details) } : byField(details.errors),
  }),
};

function detailOf(details: ProblemDetails): string {
  return details.code === 'method-not-allowed'
    ? 'Method not allowed. Senders are listed at /api/senders, messages at /api/messages.'
    : sentence(details.detail);
}

function byField(faults: readonly FieldFault[]): Record<string, string[]> {
  const named = Map.groupBy(faults, ({ field }) => field || 'non_field_errors');
  return Object.fromEntries([...named].map(([field, all]) => [field, all.map(textOf)]));
}

/** In the framework's words if it has some, because frontends show them. */
function textOf({ field, code, message }: FieldFault): string {
  if (code === 'missing') return 'This field is required.';
  if (code === 'invalid' && field === 'email') return 'Enter a valid email address.';
  return field === '' ? sentence(message) : `This field ${message}.`;
}
