import type { FieldFault, Problem, ProblemCode } from '../../problems.ts';
import type { Language } from '../../words.ts';

/** HTTP status, title and cause of each refusal. The cause is for the documentation. */
const answers = {
  'body-unreadable': [400, 'The body cannot be read', 'the body is not valid for its type, or ended too soon'],
  'body-too-large': [413, 'The body is too large', 'more than 64 KiB'],
  'body-type-unknown': [415, 'The body has a type that is not supported', 'another type, charset or encoding'],
  'route-unknown': [404, 'There is nothing at this address', 'no route has this path'],
  'method-not-allowed': [405, 'This address does not accept that method', 'see the `Allow` header'],
  'host-repeated': [400, 'The request names more than one host', 'more than one `Host` header'],
  'host-unknown': [421, 'This server does not answer to that name', 'the `Host` header names none of `ALLOWED_HOSTS`'],
  'rate-limited': [429, 'Too many requests', 'too many from a client, a key or all clients; see `Retry-After`'],
  'origin-refused': [403, 'This website may not post here', 'a page of this origin may not post to this form'],
  'fields-invalid': [422, 'Some fields are missing or not valid', 'see `errors`'],
  'captcha-required': [403, 'A solved captcha is required', 'the form requires a captcha'],
  'captcha-wrong': [403, 'The captcha is not solved', 'not solved, too old, or used before'],
  'idempotency-key-invalid': [400, 'The Idempotency-Key is not valid', 'not 1 to 255 printable characters'],
  'idempotency-key-reused': [422, 'The Idempotency-Key belongs to another post', 'the key was used for another post'],
  'repeat-in-progress': [409, 'The same post is being stored at this moment', 'the first one is not stored yet'],
  'form-unknown': [404, 'There is no such form', 'no form of that name'],
  'form-closed': [410, 'This form is closed', 'the form accepts no more messages: it is closed or full'],
  'form-exists': [409, 'There is already a form with this name', 'another form has that slug (command line)'],
  'form-in-use': [409, 'The form cannot be deleted', 'it has messages, or an API key is limited to it (command line)'],
  'sender-unknown': [404, 'There is no such sender', 'no such sender'],
  'message-unknown': [404, 'There is no such message', 'no such message'],
  'email-unknown': [404, 'There is no such email', 'no such email'],
  'email-leased': [409, 'The email is being sent at this moment', 'a worker may be sending it'],
  'email-not-resendable': [409, 'The email cannot be sent again', 'its state does not allow it'],
  'email-not-cancellable': [409, 'The email cannot be cancelled', 'it was sent already'],
  'hook-unknown': [404, 'There is no such hook', 'no such hook (command line)'],
  'hook-exists': [409, 'There is already a hook with this name', 'another hook has that name (command line)'],
  'delivery-unknown': [404, 'There is no such delivery', 'no such hook delivery (command line)'],
  'reply-refused': [
    409,
    'The message cannot be answered',
    'held, without an address, or its sender is blocked or erased (command line)',
  ],
  'token-required': [401, 'A token is required', '`/metrics` without its token'],
  'mailbox-locked': [403, 'The mailbox is locked', '`/mailbox` without the key that the server prints when it starts'],
  'key-required': [401, 'An API key is required', 'no API key, or one that is unknown, expired or revoked'],
  'key-forbidden': [403, 'The API key may not do this', 'the key lacks the scope, or is restricted to other forms'],
  'key-unknown': [404, 'There is no such API key', 'no such key (command line)'],
  'database-away': [503, 'The database is away', 'see `Retry-After`; if you post the same again, it is stored once'],
  'schema-behind': [503, 'The database schema is behind', 'run `ruffinweb migrate up`'],
  'schema-too-new': [503, 'The database schema is too new', 'a newer release removed what this one needs'],
  'keys-wrong': [503, 'The encryption keys are wrong', '`ENCRYPTION_KEYS` does not match the database'],
  'argument-invalid': [400, 'An argument is not valid', 'an argument or filter is not valid'],
  unexpected: [500, 'Something went wrong on our side', 'the fault is ours; `requestId` finds it in the log'],
} as const satisfies Record<ProblemCode, readonly [status: number, title: string, when: string]>;

/** `application/problem+json` (RFC 9457), with a stable `code` and the invalid fields. */
export interface ProblemDetails {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ProblemCode;
  /** The same id as in the log and in the `X-Request-Id` header. */
  requestId: string;
  errors?: readonly FieldFault[];
  /** After a post: what to tell the visitor, in the language of the form. */
  visitor?: { language: Language; text: string };
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

/** Every kind of refusal, for the documentation. */
export const problemKinds = Object.entries(answers)
  .map(([code, [status, title, when]]) => ({ code: code as ProblemCode, status, title, when }))
  .toSorted((a, b) => a.status - b.status);
