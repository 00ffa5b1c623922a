import type { TakenDelivery } from '../ledgers/hook-sink.ts';
import type { VisitLine } from '../ledgers/load.ts';
import type { TakenMail } from '../ledgers/mail-sink.ts';

/** A stored message, as `messages export` prints it. */
export interface StoredMessage {
  id: string;
  form: string;
  email: string;
  /** The visitor's text. */
  message: string;
}

export interface StoredEmail {
  id: string;
  messageId: string;
  kind: 'notification' | 'auto-reply';
  state: string;
  failure: string | null;
  /** The Message-ID header, with its brackets. */
  header: string;
  /** Attempts on record whose outcome nobody knows. */
  uncertain: number;
  /** Attempts on record that the mail server took. */
  accepted: number;
}

export interface StoredDelivery {
  /** Also the `webhook-id`. */
  id: string;
  /** Null for a test delivery. */
  messageId: string | null;
  state: string;
  /** Attempts on record that brought no answer: the receiver may have taken it all the same. */
  uncertain: number;
  /** Attempts on record that the receiver took. */
  accepted: number;
}

/** Everything that is known after a fault, from the ledgers outside and from the database. */
export interface Facts {
  visits: readonly VisitLine[];
  messages: readonly StoredMessage[];
  emails: readonly StoredEmail[];
  deliveries: readonly StoredDelivery[];
  mails: readonly TakenMail[];
  calls: readonly TakenDelivery[];
  /** What each message of a form brings about. */
  forms: Readonly<Record<string, { notifications: number; autoReply: boolean; hooks: number }>>;
  /** Who gets the notifications. */
  owner: string;
  /** Senders whose count of messages is not that of the stored messages. */
  miscounted: readonly string[];
  /** Whether the fault moved clocks by days: an auto-reply that is queued then counts as too late, and is cancelled. */
  clocksJumped: boolean;
  /** Emails and hook deliveries that would not have left within a day. */
  stuck: readonly string[];
  /** Lines of logs, alerts and tables that say something about a visitor, or that a process failed in a way it must not. */
  badLines: readonly string[];
  /** Processes that ended although nobody stopped them. */
  ended: readonly string[];
}

export type Invariant =
  | 'no loss'
  | 'no ghost'
  | 'no refusal'
  | 'same answer again'
  | 'right content'
  | 'all or nothing'
  | 'at least once'
  | 'duplicates on record'
  | 'same mail again'
  | 'at most once'
  /** Two sessions are in DATA with the same mail only if the first one's outcome is uncertain. */
  | 'one at a time'
  | 'honest answers'
  | 'no crash'
  | 'silence'
  /** After an outage: few connections, and mail leaves about in the order in which it came. Judged by the fault. */
  | 'gentle return';

export interface Violation {
  invariant: Invariant;
  what: string;
}

export interface Verdict {
  /** Posts that were answered 201. */
  acknowledged: number;
  /** Acknowledged posts that are not stored exactly once. */
  lost: number;
  /** Mails and hook deliveries that arrived more than once, each extra copy counted. */
  duplicated: number;
  /** Auto-replies that were given up, and may not have arrived. */
  givenUp: number;
  /** Attempts on record whose outcome nobody knew. */
  uncertain: number;
  violations: Violation[];
}

export type Say = (invariant: Invariant, what: string) => void;
