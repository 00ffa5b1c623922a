import type { AttemptOutcome } from '../words.ts';

/** A POST to an address outside. */
export interface HookRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The address that the operator gave, if `url` lacks parts of it. No answer is shown with a part of it. */
  readonly address?: string;
}

/** How one attempt ended. The same shape as the outcome of a mail. */
export interface HookOutcome {
  /**
   * `accepted`: 2xx. `refused`: 410, nobody is there any more. `later`: any other answer, also a redirect, which is never
   * followed. `away`: no answer, or the address is not allowed.
   */
  readonly result: Extract<AttemptOutcome, 'accepted' | 'refused' | 'later' | 'away'>;
  /** HTTP status, if there was an answer. */
  readonly code?: number;
  /** The beginning of the answer (at most 4 kB), or the error. Without the address, which may be a secret. */
  readonly reply: string;
  /** From `Retry-After` of a 429 or 503, at most a day. */
  readonly retryAfterMs?: number;
}

export interface HookSender {
  /** Never throws. Ends within 20 seconds, and at once when `signal` is aborted. */
  send(request: HookRequest, options?: { signal?: AbortSignal }): Promise<HookOutcome>;
}
