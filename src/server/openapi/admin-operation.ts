import type { ProblemCode } from '../../problems.ts';
import type { KeyScope } from '../../words.ts';
import type { ApiAnswer, MediaType, Operation, Parameter } from './document.ts';
import { answer, answersOf } from './parts.ts';

/** How an admin operation differs from the others. */
export interface Details {
  parameters?: readonly Parameter[];
  refusals?: readonly ProblemCode[];
  description?: string;
  body?: MediaType;
}

/** Describes a route that needs an API key. */
export function operation(
  operationId: string,
  scope: KeyScope,
  summary: string,
  success: Record<string, ApiAnswer>,
  { parameters, refusals = [], description, body }: Details = {},
): Operation {
  const codes: readonly ProblemCode[] = [
    ...(['host-repeated', 'host-unknown', 'argument-invalid', 'key-required', 'key-forbidden'] as const),
    ...refusals,
    ...(body ? (['body-unreadable', 'body-too-large', 'body-type-unknown'] as const) : []),
    ...(['rate-limited', 'unexpected', 'database-away'] as const),
  ];
  return {
    operationId,
    tags: ['Desk'],
    summary,
    description: `${description === undefined ? '' : `${description} `}Needs the scope \`${scope}\`.`,
    ...(parameters && { parameters }),
    ...(body && { requestBody: { required: true, content: { 'application/json': body } } }),
    responses: { ...success, ...answersOf((code) => codes.includes(code)) },
    security: [{ key: [] }],
  };
}

/** A success with a body. */
export function found(description: string, schema: string): Record<string, ApiAnswer> {
  return { 200: answer(description, schema) };
}

/** A success without a body. */
export const deleted: Record<string, ApiAnswer> = { 204: { description: 'Deleted.' } };
