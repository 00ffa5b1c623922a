import type { ProblemCode } from '../../problems.ts';
import type { KeyScope } from '../../words.ts';
import type { ApiAnswer, MediaType, Operation, Parameter, Schema } from './document.ts';
import { answersOf, ref } from './parts.ts';

export const query = (name: string, description: string, schema: Schema = { type: 'string' }): Parameter => ({
  name,
  in: 'query',
  description,
  schema,
});

export const id = (what: string): Parameter => ({
  name: 'id',
  in: 'path',
  required: true,
  description: what,
  schema: { type: 'string' },
});

export const answer = (description: string, schema: string): ApiAnswer => ({
  description,
  content: { 'application/json': { schema: ref(schema) } },
});

/** What somebody with a key may ask, and how they are refused. */
export function operation(
  operationId: string,
  scope: KeyScope,
  summary: string,
  good: Record<string, ApiAnswer>,
  more: { parameters?: Parameter[]; body?: MediaType; refusals?: ProblemCode[]; description?: string },
): Operation {
  const codes: ProblemCode[] = [
    'host-repeated',
    'host-unknown',
    'argument-invalid',
    'key-required',
    'key-forbidden',
    ...(more.refusals ?? []),
    'rate-limited',
    'unexpected',
    'database-away',
  ];
  return {
    operationId,
    tags: ['Desk'],
    summary,
    description: `${more.description === undefined ? '' : `${more.description} `}Needs the scope \`${scope}\`.`,
    ...(more.parameters && { parameters: more.parameters }),
    ...(more.body && { requestBody: { required: true, content: { 'application/json': more.body } } }),
    responses: { ...good, ...answersOf((code) => codes.includes(code)) },
    security: [{ key: [] }],
  };
}
