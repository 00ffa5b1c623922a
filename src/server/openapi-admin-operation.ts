import type { ProblemCode } from '../problems.ts';
import type { ApiAnswer, MediaType, Operation, Parameter } from './openapi.ts';
import { problemAnswer, ref } from './openapi-parts.ts';
import type { Schema } from './openapi-schemas.ts';
import { problemKinds } from './problem-details.ts';

type Scope = 'read' | 'write' | 'export';

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
  scope: Scope,
  summary: string,
  good: Record<string, ApiAnswer>,
  more: { parameters?: Parameter[]; body?: MediaType; refusals?: ProblemCode[]; description?: string },
): Operation {
  const codes: ProblemCode[] = [
    'argument-invalid',
    'key-required',
    'key-forbidden',
    ...(more.refusals ?? []),
    'rate-limited',
  ];
  const kinds = Map.groupBy(
    problemKinds.filter(({ code }) => codes.includes(code)),
    ({ status }) => status,
  );
  const refusals = [...kinds].map(([status, of]): [string, ApiAnswer] => [String(status), problemAnswer(of)]);
  return {
    operationId,
    tags: ['Desk'],
    summary,
    description: `${more.description === undefined ? '' : `${more.description} `}Needs the scope \`${scope}\`.`,
    ...(more.parameters && { parameters: more.parameters }),
    ...(more.body && { requestBody: { required: true, content: { 'application/json': more.body } } }),
    responses: { ...good, ...Object.fromEntries(refusals) },
    security: [{ key: [] }],
  };
}
