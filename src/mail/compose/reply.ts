import type { Mail } from '../mailer.ts';
import { cleanLine, cleanText } from './plain-text.ts';

/** What an operator wrote, and what it answers. */
export interface ReplyContent {
  readonly receipt: string;
  /** Of the message. */
  readonly subject?: string;
  readonly text: string;
  /** Message-IDs of the mails that the recipient has about this message, oldest first. */
  readonly answers: readonly string[];
  /** For an owner's copy: the address that the reply went to. */
  readonly copyOf?: string;
}

type Envelope = Pick<Mail, 'id' | 'from' | 'to' | 'replyTo' | 'internetMessageId' | 'date'>;

/** Leaves room for the receipt behind it. */
const maxSubject = 150;

/**
 * A mail that a person wrote: only text, and nothing that says it was sent automatically. Pure.
 *
 * The threading headers follow RFC 5322 §3.6.4. An owner's copy has the Message-ID of the reply, so that a mail program
 * files the sender's answer under it.
 */
export function composeReply(envelope: Envelope, { receipt, subject, text, answers, copyOf }: ReplyContent): Mail {
  const about = cleanLine(subject ?? '', maxSubject).replace(/^(?:re:\s*)+/i, '') || 'your message';
  const written = `${cleanText(text).trimEnd()}\n`;
  const parent = answers.at(-1);
  return {
    ...envelope,
    kind: 'reply',
    subject: `Re: ${about} (${receipt})`,
    text: copyOf === undefined ? written : `Copy of the reply to ${cleanLine(copyOf, 254)}:\n\n${written}`,
    html: '',
    ...(parent !== undefined && { inReplyTo: parent, references: answers }),
    // An owner's absence notice must not go to the sender, whom the copy names in its Reply-To.
    headers: copyOf === undefined ? {} : { 'X-Auto-Response-Suppress': 'DR, RN, NRN, OOF, AutoReply' },
  };
}
