import type { AttemptOutcome } from '../words.ts';
import type { Mailbox } from './mailbox.ts';

/** One mail to one recipient, ready to send; `compose.ts` writes its text. */
export interface Mail {
  /** The UUID of the email row. It is part of the name of the `.eml` file and of the MIME boundaries. */
  readonly id: string;
  readonly kind: string;
  /** `address` or `Name <address>`, as in MAIL_FROM. */
  readonly from: string;
  /** Exactly one bare address. */
  readonly to: string;
  /** Bare addresses. */
  readonly replyTo?: string | string[];
  readonly subject: string;
  readonly text: string;
  /** Empty for a mail of plain text alone. */
  readonly html: string;
  /** With its angle brackets; the same at every attempt, so that receivers can recognise a second copy. */
  readonly internetMessageId: string;
  readonly date: Date;
  /** A Message-ID with its angle brackets. */
  readonly inReplyTo?: string;
  /** Message-IDs with their angle brackets. */
  readonly references?: readonly string[];
  /** Further headers, in ASCII. */
  readonly headers: Readonly<Record<string, string>>;
}

/** How one attempt to send a mail ended. */
export interface Outcome {
  readonly result: AttemptOutcome;
  /** The SMTP status, if there was a reply. */
  readonly code?: number;
  /** The server's reply or the error, in one line of at most 500 characters. Safe on a terminal; may quote an address. */
  readonly reply: string;
  /** If a temporary refusal says "try again in …". */
  readonly retryAfterMs?: number;
}

export interface SendOptions {
  /**
   * Asks to stop. Ends the attempt at once until the last byte is handed over. After that it has no effect: stopping
   * could not unsend the mail, but would hide the outcome.
   */
  readonly signal?: AbortSignal;
  /** Ends the attempt at once, also after the mail was handed over. */
  readonly abandon?: AbortSignal;
  /** Called when the server waits for the text, before its first byte. Never throws. If false, the attempt ends there. */
  readonly beforeText?: () => Promise<boolean>;
  /** Called when the last byte was handed over. The reply may take minutes from now on. */
  readonly onHandedOver?: () => void;
}

/** Sends mail. Disposing ends what is in flight at once: `later` before the final dot, `unknown` after it. */
export interface Mailer extends AsyncDisposable {
  /** How many mails can be sent at the same time. */
  readonly lanes: number;
  /** For logs and `health`, without secrets: `smtp://mail.example.com:465` or `files in ./data/mail`. */
  readonly describes: string;
  /** The mail that was sent, if it is only written to files. */
  readonly mailbox?: Mailbox;
  /** Never throws. */
  send(mail: Mail, options?: SendOptions): Promise<Outcome>;
  /** Connects, logs in, asks whether mail from us is accepted, and sends nothing. Never throws. */
  verify(): Promise<Outcome>;
  /** Sends a mail on a connection of its own and reports each step; without a mail, the steps up to MAIL. Never throws. */
  walk(mail: Mail | undefined, onStep: (step: Step) => void): Promise<Walk>;
}

export type StepName = 'connect' | 'tls' | 'login' | 'mail' | 'rcpt' | 'data' | 'accepted';

/** One step of sending a mail, and what the server said. */
export interface Step {
  readonly step: StepName;
  readonly isOk: boolean;
  /** One line, safe to show on a terminal. */
  readonly detail: string;
}

export interface Walk {
  readonly outcome: Outcome;
  /** When the server's certificate expires, if there was TLS. */
  readonly certificateEndsAt: Date | undefined;
}
