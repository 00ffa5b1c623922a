import { createHash } from 'node:crypto';
import { SmtpServer, type SmtpServerOptions } from '../../support/smtp-server.ts';
import { Ledger } from './ledger.ts';

/** A mail that the SMTP server has taken. */
export interface TakenMail {
  /** Milliseconds since 1970. */
  at: number;
  /** The Message-ID header, with its brackets. */
  messageId: string;
  to: string[];
  /** The visitor whom it is about, or to whom it goes: an address that its headers name. */
  about: string;
  /** SHA-256 of the mail as it came, headers included. */
  hash: string;
}

/** An SMTP server that writes each mail into its ledger before it answers the dot with 250, and keeps nothing else. */
export class MailSink extends SmtpServer {
  readonly ledger: Ledger<TakenMail>;
  /** When it last took a mail, in milliseconds since 1970. */
  lastAt = 0;

  private constructor(path: string, options: SmtpServerOptions) {
    super(options);
    this.ledger = new Ledger(path);
  }

  static async open(path: string, options: SmtpServerOptions = {}): Promise<MailSink> {
    const sink = new MailSink(path, options);
    await sink.listen();
    return sink;
  }

  override record(...[{ to, raw }, answer]: Parameters<SmtpServer['record']>): void {
    if (answer.startsWith('2')) {
      const messageId = /^Message-ID: *(?:\r\n )?(<[^>]+>)/im.exec(raw)?.[1] ?? '';
      this.lastAt = Date.now();
      this.ledger.write({
        at: this.lastAt,
        messageId,
        to: [...to],
        about: /^(?:Reply-To|To): .*?(ada@[^\s>]+\.test)/m.exec(raw)?.[1] ?? '',
        hash: createHash('sha256').update(raw).digest('hex'),
      });
    }
    this.changed();
  }

  override note(): void {
    this.changed();
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    this.ledger[Symbol.dispose]();
  }
}
