import type { ProblemCode } from '../problems.ts';
import type { ApiAnswer } from './openapi.ts';
import type { Schema } from './openapi-schemas.ts';
import { problemKinds } from './problem-details.ts';

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

export const json = (name: string, example: unknown) => ({ 'application/json': { schema: ref(name), example } });

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
