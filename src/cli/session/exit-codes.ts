import type { ProblemCode } from '../../problems.ts';

/** What a script may rely on. */
export const exitCode = {
  done: 0,
  refused: 1,
  misused: 2,
  unhealthy: 4,
  ourFault: 70,
  interrupted: 130,
} as const;

const { refused, misused, unhealthy, ourFault, interrupted } = exitCode;

export const exitCodeOf = {
  'body-unreadable': refused,
  'body-too-large': refused,
  'body-type-unknown': refused,
  'route-unknown': refused,
  'method-not-allowed': refused,
  'host-repeated': refused,
  'host-unknown': refused,
  'rate-limited': refused,
  'origin-refused': refused,
  'fields-invalid': refused,
  'captcha-required': refused,
  'captcha-wrong': refused,
  'idempotency-key-invalid': refused,
  'idempotency-key-reused': refused,
  'repeat-in-progress': refused,
  'form-unknown': refused,
  'form-closed': refused,
  'form-exists': refused,
  'sender-unknown': refused,
  'message-unknown': refused,
  'email-unknown': refused,
  'email-leased': refused,
  'email-not-resendable': refused,
  'email-not-cancellable': refused,
  'token-required': refused,
  'mailbox-locked': refused,
  'key-required': refused,
  'key-forbidden': refused,
  'key-unknown': refused,
  'database-away': refused,
  'schema-behind': unhealthy,
  'schema-too-new': unhealthy,
  'keys-wrong': misused,
  'argument-invalid': misused,
  unexpected: ourFault,
} as const satisfies Record<ProblemCode, number>;

/**
 * The other errors that we expect and can explain, by name: telling them apart must not load the modules that
 * throw them.
 */
export const exitCodeOfName: Readonly<Record<string, number>> = {
  ConfigFaulty: misused,
  SettingsUnreadable: misused,
  KeysWrong: misused,
  TemplateFault: misused,
  ImportRunning: refused,
  OldDatabaseUnknown: misused,
  OldDatabaseUnreadable: refused,
  EmbeddedNotRunning: refused,
  EmbeddedUnavailable: refused,
  TablesBusy: refused,
  Refusal: refused,
  Interrupted: interrupted,
};
