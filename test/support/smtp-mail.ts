import { randomUUID } from 'node:crypto';
import type { Mail } from '../../src/mail/mailer.ts';
import { createSmtpMailer, type SmtpOptions } from '../../src/mail/smtp/smtp-mailer.ts';

/** A mail that any server accepts. */
export function someMail(changes: Partial<Mail> = {}): Mail {
  const id = randomUUID();
  return {
    id,
    kind: 'notification',
    from: 'Site <site@example.test>',
    to: 'owner@example.test',
    subject: 'New message',
    text: 'Hello\n',
    html: '<p>Hello</p>',
    internetMessageId: `<${id}@example.test>`,
    date: new Date('2026-11-22T07:33:00Z'),
    headers: {},
    ...changes,
  };
}

/** A mailer for this server; tests of servers that hang set their own timeouts. */
export function mailerTo(server: { host: string; port: number }, changes: Partial<SmtpOptions> = {}) {
  return createSmtpMailer({
    host: server.host,
    port: server.port,
    security: 'opportunistic',
    from: 'site@example.test',
    deadlineMs: 25_000,
    answerMs: 25_000,
    connectMs: 15_000,
    silenceMs: 20_000,
    idleMs: 1_000,
    ...changes,
  });
}
