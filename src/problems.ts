import type { Need } from './words.ts';

/** One thing wrong with one field of a submission. */
export interface FieldFault {
  field: string;
  code: 'missing' | 'too-long' | 'invalid' | 'too-many' | 'file';
  message: string;
}

/** Every refusal that we expect and can explain. Each door translates it: HTTP status, exit code. */
export type ProblemCode =
  | 'body-unreadable'
  | 'body-too-large'
  | 'body-type-unknown'
  | 'route-unknown'
  | 'method-not-allowed'
  | 'host-repeated'
  | 'host-unknown'
  | 'rate-limited'
  | 'origin-refused'
  | 'fields-invalid'
  | 'captcha-required'
  | 'captcha-wrong'
  | 'idempotency-key-invalid'
  | 'idempotency-key-reused'
  | 'repeat-in-progress'
  | 'form-unknown'
  | 'form-closed'
  | 'form-exists'
  | 'sender-unknown'
  | 'message-unknown'
  | 'email-unknown'
  | 'email-leased'
  | 'email-not-resendable'
  | 'email-not-cancellable'
  | 'token-required'
  | 'mailbox-locked'
  | 'key-required'
  | 'key-forbidden'
  | 'key-unknown'
  | 'database-away'
  | 'schema-behind'
  | 'schema-too-new'
  | 'keys-wrong'
  | 'argument-invalid'
  | 'unexpected';

/** A refusal we expected and can explain. Anything else thrown is a bug or an outage. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly faults: readonly FieldFault[];
  /** The kind of captcha that the form asks for, where that is what is refused. */
  readonly captcha: string | undefined;
  /** What the request lacks, where the same request with it would be accepted. */
  readonly needs: Need | undefined;

  constructor(
    code: ProblemCode,
    message: string,
    options: { faults?: readonly FieldFault[]; captcha?: string; needs?: Need; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.faults = options.faults ?? [];
    this.captcha = options.captcha;
    this.needs = options.needs;
  }
}
