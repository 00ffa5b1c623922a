import type { ProblemCode } from '../../problems.ts';
import { problemKinds } from '../http/problem-details.ts';
import type { ApiAnswer, Parameter, Schema } from './document.ts';

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

export const json = (name: string, example: unknown) => ({ 'application/json': { schema: ref(name), example } });

/** What a form may be posted as. */
export const bodyTypes = ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'];

export const idempotencyKey: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'Any text that is new for each filling of the form. A post that is repeated with it within 24 hours gets the ' +
    'first answer and is not stored again; with another body it is refused (422). Without it the same post, in every ' +
    'field that is kept, counts as a repeat within 10 minutes.',
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

/** Those that come with `Retry-After`. */
const waitStatuses = new Set<number>([429, 503]);

/** Refusals by their status. */
export function answersOf(isWanted: (code: ProblemCode) => boolean): Record<string, ApiAnswer> {
  const kinds = Map.groupBy(
    problemKinds.filter(({ code }) => isWanted(code)),
    ({ status }) => status,
  );
  return Object.fromEntries([...kinds].map(([status, of]) => [String(status), problemAnswer(of)]));
}

function problemAnswer(kinds: typeof problemKinds): ApiAnswer {
  const [first] = kinds;
  const waits = waitStatuses.has(first?.status ?? 0);
  return {
    description: kinds.map(({ code, title }) => `\`${code}\`: ${title}.`).join(' '),
    ...(waits && {
      headers: { 'Retry-After': { description: 'Seconds to wait before the next try.', schema: { type: 'integer' } } },
    }),
    content: {
      'application/problem+json': {
        schema: ref('Problem'),
        ...(kinds.some(({ code }) => code === 'fields-invalid') && { example: faulty }),
      },
    },
  };
}

/** Who writes in the examples. */
export const ada = { name: 'Ada Lovelace', email: 'ada@example.com', message: 'Could you build me an engine?' };
