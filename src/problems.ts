import type { FormLanguage, Need } from './words.ts';

/** What is wrong with one field of a submission. */
export interface FieldFault {
  field: string;
  code: 'missing' | 'too-long' | 'invalid' | 'too-many' | 'file' | 'choice' | 'range';
  message: string;
  /** For people, if the form declares the field. */
  label?: string;
}

/** Every refusal. The server translates it into an HTTP status, the command line into an exit code. */
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
  | 'form-in-use'
  | 'sender-unknown'
  | 'message-unknown'
  | 'email-unknown'
  | 'email-leased'
  | 'email-not-resendable'
  | 'email-not-cancellable'
  | 'hook-unknown'
  | 'hook-exists'
  | 'delivery-unknown'
  | 'reply-refused'
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

/** A refusal. Any other error is a bug or an outage. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly faults: readonly FieldFault[];
  /** The form's captcha, if its solution is missing or wrong. */
  readonly captcha: string | undefined;
  /** What would make the same request succeed. */
  readonly needs: Need | undefined;
  /** The name of a closed form. */
  readonly form: string | null | undefined;
  /** The operator's words for visitors of a closed form. */
  readonly closedText: string | undefined;
  /** The language setting of a closed form. */
  readonly language: FormLanguage | null | undefined;
  /** The word or address that names no single message, but can be searched for. */
  readonly searchable: string | undefined;

  constructor(
    code: ProblemCode,
    message: string,
    options: {
      faults?: readonly FieldFault[];
      captcha?: string;
      needs?: Need;
      form?: string | null | undefined;
      closedText?: string | undefined;
      language?: FormLanguage | null | undefined;
      searchable?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.faults = options.faults ?? [];
    this.captcha = options.captcha;
    this.needs = options.needs;
    this.form = options.form;
    this.closedText = options.closedText;
    this.language = options.language;
    this.searchable = options.searchable;
  }
}
