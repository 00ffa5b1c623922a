import { catalogueOf } from '../../../languages/languages.ts';
import type { FieldFault, ProblemCode } from '../../../problems.ts';
import type { ProblemDetails } from '../../http/problem-details.ts';
import { type Dialect, sentence } from './dialect.ts';

/** The codes of `@formspree/core` 4. It turns codes that it does not know into `UNSPECIFIED`. */
const formCodes: Partial<Record<ProblemCode, string>> = {
  'form-unknown': 'FORM_NOT_FOUND',
  'form-closed': 'INACTIVE',
  'origin-refused': 'BLOCKED',
};

/**
 * Formspree's protocol: its published clients only need another endpoint. They read only the body: `next` means success,
 * `errors` or `error` a refusal. They show an error with a `field` at that field, any other above the form.
 */
export const formspree: Dialect = {
  takesAnyFields: true,
  stored: ({ next }) => ({ status: 200, body: { ok: true, next } }),
  problem: (details, posted) => ({
    type: 'application/json; charset=utf-8',
    body: { error: sentence(details.detail), errors: errorsOf(details, posted) },
  }),
};

interface FormspreeError {
  code?: string;
  field?: string;
  message: string;
}

function errorsOf(details: ProblemDetails, posted: ReadonlyMap<string, unknown> | undefined): FormspreeError[] {
  if (details.errors === undefined) {
    const code = formCodes[details.code];
    return [{ ...(code && { code }), message: details.visitor?.text ?? sentence(details.detail) }];
  }
  const isEmpty = details.errors.some(({ field, code }) => field === '' && code === 'missing');
  if (isEmpty || posted?.size === 0)
    return [{ code: 'EMPTY', message: catalogueOf(details.visitor?.language ?? 'en').pages.emptyForm }];
  return details.errors.map(({ field, ...fault }) => ({
    ...codeOf({ field, ...fault }, posted),
    ...(field !== '' && { field }),
    message: fault.message,
  }));
}

function codeOf({ field, code }: FieldFault, posted: ReadonlyMap<string, unknown> | undefined): { code?: string } {
  switch (code) {
    case 'missing':
      return { code: posted?.has(field) ? 'REQUIRED_FIELD_EMPTY' : 'REQUIRED_FIELD_MISSING' };
    case 'invalid':
      return { code: field === 'email' || field === '_replyto' ? 'TYPE_EMAIL' : 'TYPE_TEXT' };
    case 'file':
      return { code: 'NO_FILE_UPLOADS' };
    case 'choice':
    case 'range':
    case 'too-long':
    case 'too-many':
      return {};
  }
}
