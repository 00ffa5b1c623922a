import { createHash } from 'node:crypto';
import { SmtpServer, type SmtpServerOptions } from '../../../support/smtp-server.ts';
import { Ledger } from './ledger.ts';

/** A mail that the SMTP server has taken. */
export interface TakenMail {
  /** Milliseconds since 1970. */
  at: number;
  /** The Message-ID header, with its brackets. */
  messageId: string;
  to: string[];
  /** The keys of all posts that it names, by an address or a text. */
  about: string;
  /** SHA-256 of the mail as it came, headers included. */
  hash: string;
  /** Other sessions were in DATA with the same mail meanwhile. */
  beside?: true;
}

/** An SMTP server that writes each mail into its ledger before it answers the dot with 250, and keeps nothing else. */
export class MailSink extends SmtpServer {
  readonly ledger: Ledger<TakenMail>;
  /** When it last took a mail, in milliseconds since 1970. */
  lastAt = 0;
  /** The most connections that were open at the same time. */
  mostOpen = 0;
  /** By Message-ID, the connections that wait for an answer to its dot, and whether there were several. */
  readonly #atDot = new Map<string, { connections: Set<number>; beside: boolean }>();

  private constructor(path: string, options: SmtpServerOptions) {
    super(options);
    this.ledger = new Ledger(path);
  }

  static async open(path: string, options: SmtpServerOptions = {}): Promise<MailSink> {
    const sink = new MailSink(path, options);
    await sink.listen();
    return sink;
  }

  override arrived({ raw, connection }: Parameters<SmtpServer['arrived']>[0]): void {
    const at = this.#atDot.get(idIn(raw)) ?? { connections: new Set(), beside: false };
    this.#atDot.set(idIn(raw), at);
    at.connections.add(connection);
    at.beside ||= at.connections.size > 1;
  }

  override record(...[{ to, raw, connection }, answer]: Parameters<SmtpServer['record']>): void {
    const messageId = idIn(raw);
    const at = this.#atDot.get(messageId);
    at?.connections.delete(connection);
    if (at?.connections.size === 0) this.#atDot.delete(messageId);
    if (answer.startsWith('2')) {
      this.lastAt = Date.now();
      this.ledger.write({
        at: this.lastAt,
        messageId,
        to: [...to],
        about: keysIn(raw),
        hash: createHash('sha256').update(raw).digest('hex'),
        ...(at?.beside && { beside: true }),
      });
    }
    this.changed();
  }

  override changed(): void {
    this.mostOpen = Math.max(this.mostOpen, this.connections.open);
    super.changed();
  }

  override note(): void {
    this.changed();
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    this.ledger[Symbol.dispose]();
  }
}

/** Also in a line that quoted-printable has broken; not a Message-ID whose UUID ends in "ada". */
function keysIn(raw: string): string {
  const found = raw.replaceAll('=\r\n', '').matchAll(/(?<!\w)ada@([\w-]+)\.test|[Tt]he post ([\w-]+)\./g);
  return [...new Set([...found].map((it) => it[1] ?? it[2]))].join();
}

function idIn(raw: string): string {
  return /^Message-ID: *(?:\r\n )?(<[^>]+>)/im.exec(raw)?.[1] ?? '';
}
