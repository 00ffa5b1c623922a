import { randomUUID } from 'node:crypto';
import type { Context } from '../../src/context.ts';
import type { Outcome } from '../../src/mail/mailer.ts';
import type { SmtpOptions } from '../../src/mail/smtp/smtp-mailer.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { type ClaimedEmail, claimDue } from '../../src/services/delivery/claim-due.ts';
import { deliverUntilIdle } from '../../src/services/delivery/delivery-loop.ts';
import { decideNextStep } from '../../src/services/delivery/retry-schedule.ts';
import { settleEmails } from '../../src/services/delivery/settle-emails.ts';
import type { WorkerOptions } from '../../src/services/delivery/worker.ts';
import { createEmailJob } from '../../src/services/emails/email-job.ts';
import { openIntake } from '../../src/services/intake/intake.ts';
import { submitMessage } from '../../src/services/intake/submit-message.ts';
import type { Stored } from '../../src/services/intake/verdict.ts';
import { openScope } from '../../src/services/scope.ts';
import { submission } from './api.ts';
import { mailerTo } from './smtp-mail.ts';

/** Fields that differ from the submission that every form accepts. */
type Changes = Record<string, unknown>;

/**
 * Messages as the server stores them, one after another. The first is from `ada@`, more are from `ada2@` and so on.
 * Their mail is due, even if the machine's clock is set back a little.
 */
export async function buildMessages(
  context: Context,
  count: number,
  changes: (index: number) => Changes = () => ({}),
): Promise<Stored[]> {
  await using intake = openIntake(context);
  const stored: Stored[] = [];
  for (let index = 0; index < count; index++) {
    const email = `ada${index === 0 ? '' : index + 1}@example.test`;
    // The same post twice would count as a double click.
    const message = index === 0 ? 'Hello there' : `Hello there ${index + 1}`;
    const values = new Map(Object.entries(submission({ email, message, ...changes(index) })));
    stored.push(
      await submitMessage(openScope(context), intake, {
        formSlug: 'contact',
        values,
        clientAddress: '203.0.113.7',
        // So that building the same message twice makes two.
        idempotencyKey: randomUUID(),
      }),
    );
  }
  await openScope(context).em.execute(
    `update emails set due_at = due_at - interval '1 second' where state = 'queued' and lease_token is null`,
  );
  return stored;
}

export const mailOutcomes = {
  accepted: { result: 'accepted', code: 250, reply: '250 2.0.0 ok' },
  refused: { result: 'refused', code: 550, reply: '550 5.1.1 no such user' },
  later: { result: 'later', code: 450, reply: '450 4.2.0 greylisted' },
  unknown: { result: 'unknown', reply: 'connection lost after the final dot' },
} as const satisfies Record<string, Outcome>;

/** Delivers all due mail with this context's mailer, as `deliver --once` does. */
export async function deliverDue(context: MailingContext, options: WorkerOptions = {}): Promise<number> {
  return await deliverUntilIdle(context, createEmailJob(context), new AbortController().signal, options);
}

/** The same through a mailer of its own, as a worker that starts and ends. @param changes of the mailer. */
export async function deliverTo(
  smtp: { host: string; port: number },
  context: MailingContext,
  changes: Partial<SmtpOptions> = {},
  options: WorkerOptions = {},
): Promise<void> {
  await using mailer = mailerTo(smtp, changes);
  await deliverDue({ ...context, mailer }, options);
}

/** Records results for due mail as the delivery worker would, had the mail server answered so. */
export async function settleDue(
  context: Context,
  outcomeOf: (email: ClaimedEmail) => Outcome,
): Promise<ClaimedEmail[]> {
  const scope = openScope(context);
  const settled: ClaimedEmail[] = [];
  for (;;) {
    const { rows: emails } = await claimDue(scope, 50);
    if (emails.length === 0) return settled;
    await settleEmails(
      scope,
      emails.map((email) => {
        const outcome = outcomeOf(email);
        return { row: email, startedAt: scope.now(), outcome, next: decideNextStep(email, outcome, 0) };
      }),
    );
    settled.push(...emails);
  }
}
