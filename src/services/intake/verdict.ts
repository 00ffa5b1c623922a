import type { MessageStatus } from '../../entities/index.ts';
import type { Problem } from '../../problems.ts';
import type { MessageContent } from '../sealed-values.ts';

/** What was decided by a form that has been changed since. */
export class FormOutdated extends Error {
  override readonly name = 'FormOutdated';
}

/** A checked submission, with all that was decided about it. */
export interface Verdict {
  formId: string;
  /** Which version of the form it was judged by. */
  formVersion: string;
  content: MessageContent;
  clientAddress: string | undefined;
  status: MessageStatus;
  reasons: readonly string[];
  /** Owners to tell, one email each. */
  notify: readonly string[];
  /** The `Idempotency-Key` header. */
  idempotencyKey: string | undefined;
  /** A captcha that must not have been used before. */
  captchaUse: { id: string; expiresAt: Date } | undefined;
  /** Whether an auto-reply may go out, as far as anybody but the database can tell. */
  reply: boolean;
}

/** What we tell the visitor's browser: we have it. */
export interface Stored {
  id: string;
  receipt: string;
  receivedAt: Date;
}

/** What became of one verdict: stored, now or (a repeat) before; or refused, and then nothing of it is stored. */
export type StoreResult = { stored: Stored; repeated: boolean } | { refused: Problem | FormOutdated };
