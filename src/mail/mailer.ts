import type { Mailbox } from './mailbox.ts';

/** One mail to one recipient, ready to send. What it says is decided in `compose.ts`. */
export interface Mail {
  /** The UUID of the email row; names the `.eml` file and makes the MIME boundaries repeatable. */
  readonly id: string;
  readonly kind: string;
  /** An address or `Name <address>`, as in MAIL_FROM. */
  readonly from: string;
  /** Exactly one bare address. */
  readonly to: string;
  /** One bare address. */
  readonly replyTo?: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** With its angle brackets; the same at every try, so that receivers can recognise a second copy. */
  readonly internetMessageId: string;
  readonly date: Date;
  /** A Message-ID with its angle brackets. */
  readonly inReplyTo?: string;
  /** Message-IDs with their angle brackets. */
  readonly references?: readonly string[];
  /** Headers beyond those above, in ASCII. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * How one try ended.
 *
 * - `accepted`: the server took the mail.
 * - `refused`: the server refuses this mail for good, or it cannot be sent by anybody.
 * - `later`: not delivered; the same mail may go through at another time.
 * - `unknown`: lost after the final dot. The server may have it or not, and nobody can tell.
 * - `broken`: login, TLS or name resolution fail, or mail from us is refused: no mail at all would go through.
 */
export const results = ['accepted', 'refused', 'later', 'unknown', 'broken'] as const;
export type Result = (typeof results)[number];

export interface Outcome {
  readonly result: Result;
  /** The SMTP status, where the server gave one. */
  readonly code?: number;
  /** The server's reply or the error's text, one line, at most 500 characters, safe to show on a terminal. It may quote an address. */
  readonly reply: string;
  /** When a temporary refusal says "try again in …". */
  readonly retryAfterMs?: number;
}

export interface SendOptions {
  /**
   * Asks to stop. Obeyed at once until the last byte has been handed over; from then on only the
   * deadline ends the try, since giving up could not unsend the mail, only hide how it went.
   */
  readonly signal?: AbortSignal;
  /** Obeyed at once, whatever the state of the try. */
  readonly abandon?: AbortSignal;
  /** The last byte has been handed over. The answer may take longer than `deadlineMs` from now on. */
  readonly onHandedOver?: () => void;
}

/** The one way out for mail. Disposing ends what is in flight at once: `later` before the final dot, `unknown` after it. */
export interface Mailer extends AsyncDisposable {
  /** How many mails it sends at the same time; further ones wait. */
  readonly lanes: number;
  /** No mail takes longer to hand over than this; a lease has to. */
  readonly deadlineMs: number;
  /** For logs and `health`, without secrets: `smtp://mail.example.com:465` or `files in ./data/mail`. */
  readonly describes: string;
  /** What was sent, where it only goes to files. */
  readonly mailbox?: Mailbox;
  /** Never throws. */
  send(mail: Mail, options?: SendOptions): Promise<Outcome>;
  /** Connects, logs in, asks whether mail from us is taken, and sends nothing. Never throws. */
  verify(): Promise<Outcome>;
  /**
   * Goes the way of a mail step by step on a connection of its own, telling of each step; without a mail only up to
   * MAIL. Never throws.
   */
  walk(mail: Mail | undefined, onStep: (step: Step) => void): Promise<Walk>;
}

export type StepName = 'connect' | 'tls' | 'login' | 'mail' | 'rcpt' | 'data' | 'accepted';

/** One step on the way of a mail, and what the other side said. */
export interface Step {
  readonly step: StepName;
  readonly isOk: boolean;
  /** One line, safe to show on a terminal. */
  readonly detail: string;
}

export interface Walk {
  readonly outcome: Outcome;
  /** Of the server's certificate, where there was TLS. */
  readonly certificateEndsAt: Date | undefined;
}
