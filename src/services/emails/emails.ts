import { validate as isUuid } from 'uuid';
import { Attempt, Email } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { EmailKind, EmailState } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { findFormId } from '../forms/forms.ts';
import {
  cutPage,
  idsOf,
  type Page,
  type PageRequest,
  type Period,
  readIdCursor,
  readLimit,
  timesOf,
} from '../paging.ts';
import type { Scope } from '../scope.ts';
import { type AttemptView, type EmailView, viewAttempt, viewEmail } from '../views.ts';

/** The period is about when an email was created, not about its attempts. */
export interface EmailFilter extends Period {
  state?: EmailState;
  kind?: EmailKind;
  /** Slug. */
  form?: string;
  /** Only emails about messages to the forms with these ids. */
  within?: readonly string[];
}

/**
 * Lists outgoing mail, the newest first.
 *
 * @throws {Problem} form-unknown, argument-invalid
 */
export async function listEmails(scope: Scope, request: EmailFilter & PageRequest = {}): Promise<Page<EmailView>> {
  const limit = readLimit(request.limit);
  const before = readIdCursor(request.cursor);
  const where = await emailsWhere(scope, request);
  const rows = await scope.em.find(
    Email,
    { $and: [where, { id: { $lt: before } }] },
    {
      populate: ['message.form', 'sender'],
      // What was posted or written is not shown here, and may be large.
      exclude: ['content', 'message.content', 'message.clientAddress'],
      orderBy: { id: 'desc' },
      limit: limit + 1,
    },
  );
  const now = await databaseNow(scope.em);
  return cutPage(rows, limit, (row) => viewEmail(scope.keyring, row, now));
}

/** One email with all attempts to deliver it, the oldest first. */
export interface EmailDetails extends EmailView {
  attempts: AttemptView[];
}

/**
 * @param within ids of forms: an email about a message to another form is not found.
 * @throws {Problem} email-unknown
 */
export async function showEmail(scope: Scope, id: string, within?: readonly string[]): Promise<EmailDetails> {
  const email = await findEmail(scope, id);
  if (within?.includes(email.message?.form.id ?? '') === false) {
    throw new Problem('email-unknown', `there is no email ${id}`);
  }
  const attempts = await scope.em.find(Attempt, { email: email.id }, { orderBy: { finishedAt: 'asc', id: 'asc' } });
  return {
    ...viewEmail(scope.keyring, email, await databaseNow(scope.em)),
    attempts: attempts.map((it) => viewAttempt(scope.keyring, it)),
  };
}

/** Loads it with its message, the message's form, and its sender. @throws {Problem} email-unknown */
export async function findEmail(scope: Scope, id: string) {
  const email = isUuid(id) ? await scope.em.findOne(Email, { id }, { populate: ['message.form', 'sender'] }) : null;
  if (email === null) throw new Problem('email-unknown', `there is no email ${id}`);
  return email;
}

/** @throws {Problem} form-unknown */
export async function emailsWhere(scope: Scope, filter: EmailFilter) {
  const [ids, created] = [idsOf(filter), timesOf(filter)];
  return {
    ...(ids && { id: ids }),
    ...(created && { createdAt: created }),
    ...(filter.state && { state: filter.state }),
    ...(filter.kind && { kind: filter.kind }),
    ...(filter.form === undefined
      ? filter.within && { message: { form: { $in: [...filter.within] } } }
      : { message: { form: await findFormId(scope, filter.form, filter.within) } }),
  };
}
