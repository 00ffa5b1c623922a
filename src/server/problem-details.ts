import type { FieldFault, Problem, ProblemCode } from '../problems.ts';

/** HTTP status and title of each refusal. */
const answers = {
  'body-unreadable': [400, 'The body cannot be read'],
  'body-too-large': [413, 'The body is too large'],
  'body-type-unknown': [415, 'The body is of a type that is not taken here'],
  'route-unknown': [404, 'There is nothing at this address'],
  'method-not-allowed': [405, 'This address does not answer to that method'],
  'host-unknown': [421, 'This server does not answer to that name'],
  'rate-limited': [429, 'Too many requests'],
  'origin-refused': [403, 'This website may not post here'],
  'fields-invalid': [422, 'Some fields are missing or not valid'],
  'captcha-required': [403, 'A solved captcha is required'],
  'captcha-wrong': [403, 'The captcha is not solved'],
  'idempotency-key-invalid': [400, 'The Idempotency-Key is not valid'],
  'idempotency-key-reused': [422, 'The Idempotency-Key stands for something else'],
  'repeat-in-progress': [409, 'The same post is being stored at this moment'],
  'form-unknown': [404, 'There is no such form'],
  'form-closed': [410, 'This form is closed'],
  'form-exists': [409, 'There is such a form already'],
  'sender-unknown': [404, 'There is no such sender'],
  'message-unknown': [404, 'There is no such message'],
  'email-unknown': [404, 'There is no such email'],
  'email-leased': [409, 'The email is being sent at this moment'],
  'email-not-resendable': [409, 'The email cannot be sent again'],
  'email-not-cancellable': [409, 'The email cannot be cancelled'],
  'token-required': [401, 'A token is required'],
  'key-required': [401, 'An API key is required'],
  'key-forbidden': [403, 'The API key may not do this'],
  'key-unknown': [404, 'There is no such API key'],
  'database-away': [503, 'The database is away'],
  'schema-behind': [503, 'The database schema is behind'],
  'schema-too-new': [503, 'The database schema is too new'],
  'keys-wrong': [503, 'The encryption keys are wrong'],
  'argument-invalid': [400, 'An argument is not valid'],
  unexpected: [500, 'Something went wrong on our side'],
} as const satisfies Record<ProblemCode, readonly [status: number, title: string]>;

/** `application/problem+json` (RFC 9457), with a stable `code` and the fields that are at fault. */
export interface ProblemDetails {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ProblemCode;
  /** The same id as in the log and in the `X-Request-Id` header. */
  requestId: string;
  errors?: readonly FieldFault[];
}

export function describeProblem(problem: Problem, requestId: string): ProblemDetails {
  const [status, title] = answers[problem.code];
  return {
    type: `urn:ruffinweb:problem:${problem.code}`,
    title,
    status,
    detail: problem.message,
    code: problem.code,
    requestId,
    ...(problem.faults.length > 0 && { errors: problem.faults }),
  };
}

/** Every kind of refusal, as the documentation lists it. */
export const problemKinds = Object.entries(answers)
  .map(([code, [status, title]]) => ({ code: code as ProblemCode, status, title }))
  .toSorted((a, b) => a.status - b.status);
