import type { Problem } from '../../problems.ts';
import type { MessageStatus, NoReplyReason } from '../../words.ts';
import type { MessageContent } from '../sealed-values.ts';

/** The form changed after the post was judged. */
export class FormOutdated extends Error {
  override readonly name = 'FormOutdated';
}

/** A checked submission with everything that was decided about it. */
export interface Verdict {
  formId: string;
  /** The version of the form that it was judged by. */
  formVersion: string;
  content: MessageContent;
  /** Addresses in other fields of type `email`, to find the message when one of them is erased. */
  otherAddresses: readonly string[];
  clientAddress: string | undefined;
  status: MessageStatus;
  reasons: readonly string[];
  /** Owners who get a notification, one email each. */
  notify: readonly string[];
  /** The `Idempotency-Key` header. */
  idempotencyKey: string | undefined;
  /** The solved captcha that this post uses up. It must not have been used before. */
  captchaUse: { id: string; expiresAt: Date } | undefined;
  /** How many notifications an hour an owner gets; 0 for no limit. */
  notifyLimit: number;
  /** How many messages its form accepts, and the refusal of further ones; undefined for any number. */
  limit?: { messages: number; whenFull: Problem } | undefined;
  /** Why no auto-reply may go out. If undefined, the database checks its own limits. */
  noReply: NoReplyReason | undefined;
}

/** The answer to the visitor's browser: the message is stored. */
export interface Stored {
  id: string;
  receipt: string;
  receivedAt: Date;
}

/** The result for one verdict: stored (now, or before if it is a repeat), or refused, with nothing stored. */
export type StoreResult = { stored: Stored; repeated: boolean } | { refused: Problem | FormOutdated };
