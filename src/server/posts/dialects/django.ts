import { catalogueOf, fill } from '../../../languages/languages.ts';
import type { FieldFault } from '../../../problems.ts';
import type { Language } from '../../../words.ts';
import type { ProblemDetails } from '../../http/problem-details.ts';
import { type Dialect, sentence } from './dialect.ts';

/** The answers of the Django backend that this program replaces: Django REST framework answers invalid fields with 400. */
export const django: Dialect = {
  stored: ({ stored, submission: { values } }) => ({
    status: 201,
    body: {
      message: values.get('message') ?? '',
      message_sender: values.get('email') || values.get('_replyto') || '',
      date: [values.get('date')].flat().join(', ') || stored.receivedAt.toISOString(),
    },
  }),
  problem: (details) => ({
    ...(details.code === 'fields-invalid' && { status: 400 }),
    type: 'application/json; charset=utf-8',
    body:
      details.errors === undefined
        ? { detail: detailOf(details) }
        : byField(details.errors, details.visitor?.language ?? 'en'),
  }),
};

function detailOf(details: ProblemDetails): string {
  return details.code === 'method-not-allowed'
    ? 'Method not allowed. Senders are listed at /api/senders, messages at /api/messages.'
    : sentence(details.detail);
}

function byField(faults: readonly FieldFault[], language: Language): Record<string, string[]> {
  const named = Map.groupBy(faults, ({ field }) => field || 'non_field_errors');
  return Object.fromEntries([...named].map(([field, all]) => [field, all.map((it) => textOf(it, language))]));
}

/** In the framework's words if it has some, because frontends show them. */
function textOf({ field, code, message }: FieldFault, language: Language): string {
  const { fieldRequired, emailInvalid, thisField } = catalogueOf(language).pages;
  if (code === 'missing') return fieldRequired;
  if (code === 'invalid' && field === 'email') return emailInvalid;
  return field === '' ? sentence(message) : fill(thisField, { message });
}
