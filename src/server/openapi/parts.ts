import type { ProblemCode } from '../../problems.ts';
import { problemKinds } from '../http/problem-details.ts';
import type { ApiAnswer, Operation, Parameter, Schema } from './document.ts';

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

/** `a`, `b`, `c`. */
export const inWords = (values: readonly string[]) => values.map((it) => `\`${it}\``).join(', ');

export const answer = (description: string, schema: string, example?: unknown): ApiAnswer => ({
  description,
  content: { 'application/json': { schema: ref(schema), ...(example !== undefined && { example }) } },
});

/** The body of a post, as each type of form. */
export const formBody = (example: unknown, schema = 'Submission'): NonNullable<Operation['requestBody']> => ({
  required: true,
  content: Object.fromEntries(
    ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'].map((type) => [
      type,
      { schema: ref(schema), example },
    ]),
  ),
});

export const idempotencyKey: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'Any text that is new each time the form is filled in. A second post with the same key within 24 hours gets the ' +
    'first answer and is not stored again; with a different body it is refused (422). Without a key, a post whose ' +
    'stored fields are all the same counts as a repeat for 10 minutes.',
  schema: { type: 'string', maxLength: 255, examples: ['0f6c8e1a-7d1f-4c53-9b0e-3f1d7c0a5d11'] },
};

const faulty = {
  type: 'urn:ruffinweb:problem:fields-invalid',
  title: 'Some fields are missing or not valid',
  status: 422,
  detail: 'some fields are missing or not valid',
  code: 'fields-invalid',
  requestId: '3c1b3f0e-6d0a-4f6e-9a0e-0b8f6f3d2c11',
  errors: [{ field: 'email', code: 'invalid', message: 'must be a single e-mail address, like ada@example.com' }],
};

/** The wanted refusals, by status. */
export function answersOf(isWanted: (code: ProblemCode) => boolean): Record<string, ApiAnswer> {
  const kinds = Map.groupBy(
    problemKinds.filter(({ code }) => isWanted(code)),
    ({ status }) => status,
  );
  return Object.fromEntries([...kinds].map(([status, sameStatus]) => [String(status), problemAnswer(sameStatus)]));
}

function problemAnswer(kinds: typeof problemKinds): ApiAnswer {
  const waits = kinds.some(({ status }) => status === 429 || status === 503);
  return {
    description: kinds.map(({ code, title }) => `\`${code}\`: ${title}.`).join(' '),
    ...(waits && {
      headers: {
        'Retry-After': { description: 'Seconds to wait before the next attempt.', schema: { type: 'integer' } },
      },
    }),
    content: {
      'application/problem+json': {
        schema: ref('Problem'),
        ...(kinds.some(({ code }) => code === 'fields-invalid') && { example: faulty }),
      },
    },
  };
}

/** The visitor in the examples. */
export const ada = { name: 'Ada Lovelace', email: 'ada@example.com', message: 'Could you build me an engine?' };
