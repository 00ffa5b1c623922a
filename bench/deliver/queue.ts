import { randomUUID } from 'node:crypto';
import { readConfig } from '../../src/config/read-config.ts';
import { openContext, openDatabaseContext } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';
import type { Mail } from '../../src/mail/mailer.ts';
import { openMailingContext } from '../../src/mailing-context.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { returnUnsent } from '../../src/services/delivery/return-unsent.ts';
import { composeEmail } from '../../src/services/emails/compose-email.ts';
import { openIntake } from '../../src/services/intake/intake.ts';
import { submitMessage } from '../../src/services/intake/submit-message.ts';
import { openScope } from '../../src/services/scope.ts';
import { query } from '../support/machine.ts';
import { startWorker } from '../support/program.ts';

/** Six letters. */
function word(): string {
  return Math.random()
    .toString(36)
    .replace(/[^a-z]/g, 'e')
    .slice(2, 8);
}

/** A database with queued emails, and the means to send them. */
export interface Queue extends AsyncDisposable {
  readonly url: string;
  readonly folder: string;
  readonly env: Record<string, string>;
  /** Stores messages as the server does until `count` emails are queued. @returns the composed mails. */
  fill(count: number): Promise<Mail[]>;
  makeAllDue(): Promise<void>;
  countQueued(): Promise<number>;
  /** Stores a message with one notification, and resolves when it is committed. */
  storeOne(): Promise<void>;
  startWorker(): Promise<AsyncDisposable & { readonly pid: number }>;
}

export async function openQueue(url: string, smtpPort: number, folder: string): Promise<Queue> {
  const env = {
    PATH: process.env.PATH ?? '',
    DATABASE_URL: url,
    DATA_DIR: folder,
    ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
    SMTP_HOST: '127.0.0.1',
    SMTP_PORT: String(smtpPort),
    MAIL_FROM: 'Bench <bench@example.com>',
    NOTIFY_TO: 'owner@example.com',
    AUTO_REPLY: 'off',
    LOG_LEVEL: 'info',
    LOG_FORMAT: 'json',
  };
  const log = createLog({ level: 'silent', format: 'json' });
  const base = await openDatabaseContext(readConfig(env), { log, embedded: 'join', waiting: 'operator' });
  const context = await openMailingContext(await openContext(base));
  const intake = openIntake(context);
  let serial = 0;

  async function store(): Promise<void> {
    serial += 1;
    const values = new Map(
      Object.entries({
        name: `Visitor ${serial}`,
        email: `visitor${serial}@example.net`,
        subject: 'About your offer',
        // The same text from many addresses would be held as spam.
        message: `Hello,\n\n${Array.from({ length: 60 }, word).join(' ')}`,
        company: 'Engines Ltd',
      }),
    );
    await submitMessage(openScope(context), intake, {
      formSlug: 'contact',
      values,
      clientAddress: '203.0.113.7',
      idempotencyKey: randomUUID(),
    });
  }

  return {
    url,
    folder,
    env,
    async fill(count) {
      for (let stored = 0; stored < count / 2; stored += 50) await Promise.all(Array.from({ length: 50 }, store));
      // The hourly limit on auto-replies would cancel most of them.
      await query(
        url,
        `insert into emails (id, kind, state, message_id, sender_id, due_at, tries, internet_message_id, created_at)
         select gen_random_uuid(), 'auto-reply', 'queued', id, sender_id, now(), 0, '<' || id || '@example.com>', received_at
         from messages`,
      );
      const scope = openScope(context);
      const { rows: emails } = await claimDue(scope, count);
      const mails = await Promise.all(emails.map((email) => composeEmail(context, scope, email)));
      await returnUnsent(scope, emails);
      if (mails.length !== count) throw new Error(`${mails.length} emails are queued instead of ${count}`);
      return mails;
    },
    async makeAllDue() {
      await query(url, 'truncate attempts');
      await query(
        url,
        `update emails set state = 'queued', tries = 0, lease_token = null, due_at = now(), sent_at = null`,
      );
      await query(url, 'vacuum analyze emails');
    },
    async countQueued() {
      const [row] = await query<{ count: number }>(url, `select count(*)::int from emails where state <> 'sent'`);
      return row?.count ?? Number.NaN;
    },
    storeOne: store,
    startWorker: async () => await startWorker({ folder, env }),
    async [Symbol.asyncDispose]() {
      await intake[Symbol.asyncDispose]();
      await context[Symbol.asyncDispose]();
    },
  };
}
