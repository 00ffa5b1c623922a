import type { EntityManager } from '@mikro-orm/postgresql';
import { Email } from '../../entities/index.ts';
import type { ProblemCode } from '../../problems.ts';
import { emailKinds, emailStates, type Need } from '../../words.ts';
import { newEmailIdentity } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { replyLastsHours } from './cancel-unwanted.ts';
import type { EmailFilter } from './emails.ts';

/** Emails of a query: failed ones, or queued ones that wait for a later time. */
export type ResendQuery = EmailFilter & { state: 'failed' | 'queued' };

/** Which emails to send once more: these, or those of a query. */
export type ResendRequest = ({ ids: readonly string[] } | { query: ResendQuery }) & {
  /** Also what was sent already or cancelled, or may have been sent. */
  again?: boolean;
  /** The owner's address that notifications go to instead of theirs. */
  to?: string;
  /** Only say what would happen. */
  dryRun?: boolean;
  /** Ends between two batches; what was done until then is reported. */
  stop?: AbortSignal;
  onProgress?: (done: number) => void;
};

export interface Resent {
  id: string;
  /**
   * `queued`: it will be sent now (with `dryRun`: would be). `already-queued`: so it would have been anyway.
   * `skipped`: left out of a query, for a reason that asks for a person's decision.
   */
  result: 'queued' | 'already-queued' | 'skipped' | 'refused' | 'not-found';
  /** The new email that is sent in the place of one that was sent already, or cancelled. */
  newId: string | null;
  code: Extract<ProblemCode, 'email-unknown' | 'email-leased' | 'email-not-resendable'> | null;
  /** Why not, or why again, or what changed. */
  reason: string | null;
  /** What the request lacks, where that is why it is refused. */
  needs?: Need;
}

const tooLate = 'an auto-reply of more than a day ago';

export async function resendOne(
  em: EntityManager,
  scope: Scope,
  email: Email,
  now: Date,
  request: ResendRequest,
  planned: Set<string> | undefined,
): Promise<Resent> {
  const { id } = email;
  const answer = { id, newId: null, code: null, reason: null };
  const refused = (code: NonNullable<Resent['code']>, reason: string): Resent => ({
    ...answer,
    result: 'refused',
    code,
    reason,
  });
  const byName = 'ids' in request;
  const elsewhere = async (to: string): Promise<Resent> => ({
    ...answer,
    ...(await sendElsewhere(em, scope, email, now, to, planned)),
  });
  const late =
    email.kind === 'auto-reply' && now.getTime() - email.scheduledAt().getTime() >= replyLastsHours * 60 * 60_000;

  if (email.isLeased(now)) {
    // A query selects waiting emails. A worker has claimed this one since.
    if (!byName) return { ...answer, result: 'already-queued', reason: 'is being sent at this moment' };
    return refused('email-leased', 'is being sent at this moment');
  }
  const unknown = describeUnknown(email);
  if (unknown !== undefined) {
    if (!byName) return { ...answer, result: 'skipped', reason: unknown };
    return refused('email-not-resendable', unknown);
  }
  if (request.to !== undefined && email.kind !== 'notification') {
    return refused('email-not-resendable', 'only a notification goes to another address');
  }
  switch (email.state) {
    case 'queued': {
      if (request.to !== undefined) return await elsewhere(request.to);
      if (late && !byName) return { ...answer, result: 'skipped', reason: tooLate };
      // Only a new schedule keeps a late one from being cancelled when its turn comes. One whose worker died may have arrived.
      if (email.dueAt <= now && (!late || email.leaseToken != null))
        return { ...answer, result: 'already-queued', reason: 'was queued already' };
      const reason = `due now, was due ${email.dueAt.toISOString().slice(0, 16)}Z`;
      if (!request.dryRun) email.queueAgain(now);
      return { ...answer, result: 'queued', reason };
    }
    case 'held':
      return refused('email-not-resendable', 'its message is held');
    case 'failed': {
      if (email.message?.status === 'held') return refused('email-not-resendable', 'its message is held');
      if (request.to !== undefined) return await elsewhere(request.to);
      const mayHaveArrived = email.kind === 'auto-reply' && email.failure === 'outcome-unknown';
      if (mayHaveArrived && !byName) {
        return { ...answer, result: 'skipped', reason: 'may have arrived' };
      }
      if (late && !byName) return { ...answer, result: 'skipped', reason: tooLate };
      if (mayHaveArrived && !request.again) {
        return { ...refused('email-not-resendable', 'may have arrived'), needs: 'again' };
      }
      if (!request.dryRun) email.queueAgain(now);
      return { ...answer, result: 'queued' };
    }
    case 'cancelled':
    case 'sent': {
      const what = email.state === 'sent' ? 'was sent' : 'was cancelled';
      // A query is about others; this one was sent or cancelled since it was asked.
      if (!byName) return { ...answer, result: 'skipped', reason: `${what} meanwhile` };
      // A cancelled auto-reply is mostly one that its recipient does not want.
      if (email.state === 'cancelled' && email.kind !== 'notification' && email.failure !== 'too-late') {
        return refused('email-not-resendable', `${what}, and only a notification is sent then`);
      }
      if (email.message?.status === 'held') return refused('email-not-resendable', 'its message is held');
      if (!request.again) return { ...refused('email-not-resendable', `${what} already`), needs: 'again' };
      const recipient = request.to ?? email.recipient ?? null;
      const waiting = await em.findOne(Email, { resendOf: id, state: 'queued', recipient });
      if (waiting !== null) {
        return { ...answer, result: 'already-queued', newId: waiting.id, reason: 'queued once more already' };
      }
      const newId = request.dryRun ? null : copyEmail(em, scope, email, now, request.to);
      return { ...answer, result: 'queued', newId, reason: `${what} before` };
    }
  }
}

/** Why the rules of this release cannot decide about an email that a later release wrote. */
function describeUnknown({ kind, state }: Email): string | undefined {
  if (!emailKinds.includes(kind)) return `is of a kind that this release does not know: ${kind}`;
  if (!emailStates.includes(state)) return `is in a state that this release does not know: ${state}`;
  return undefined;
}

/**
 * A notification that was not sent goes to another owner's address: it is cancelled, and a copy takes its place, unless
 * another one tells that address of the message already.
 *
 * @param planned where nothing is written: the ids of the messages that a copy was announced for; of each there is one.
 */
export async function sendElsewhere(
  em: EntityManager,
  scope: Scope,
  email: Email,
  now: Date,
  to: string,
  planned: Set<string> | undefined,
): Promise<Pick<Resent, 'result' | 'newId' | 'reason'>> {
  const about = email.message?.id ?? '';
  const told = planned?.has(about) || (await isTold(em, email, to));
  const newId = planned || told ? null : copyEmail(em, scope, email, now, to);
  if (planned) planned.add(about);
  else email.cancel();
  return told
    ? { result: 'skipped', newId, reason: 'cancelled: another one tells that address of the message' }
    : { result: 'queued', newId, reason: `instead of one to ${email.recipient}` };
}

/** Key of the advisory lock that lets one at a time send elsewhere; any constant number does. */
const elsewhereLock = 7_226_946;

/**
 * Waits for others that send elsewhere: two operators would each lock another email about one message, and neither would
 * see the other's copy.
 *
 * @param em in a transaction, before it locks any row.
 */
export async function takeTurn(em: EntityManager): Promise<void> {
  await em.execute(`select pg_advisory_xact_lock(${elsewhereLock})`);
}

/** Whether a notification of the same message went to this address, or waits to. */
async function isTold(em: EntityManager, email: Email, to: string): Promise<boolean> {
  const told = await em.find(Email, {
    message: email.message ?? null,
    kind: 'notification',
    recipient: to,
    state: { $in: ['queued', 'sent'] },
  });
  return told.some((it) => it !== email);
}

/**
 * Writes the same mail as a mail of its own, due now; to the same recipient, unless told otherwise.
 *
 * @returns its id.
 */
export function copyEmail(em: EntityManager, scope: Scope, email: Email, now: Date, to?: string): string {
  const identity = newEmailIdentity(scope.config);
  em.create(Email, {
    ...identity,
    kind: email.kind,
    state: 'queued',
    message: email.message ?? null,
    recipient: to ?? email.recipient ?? null,
    sender: email.sender ?? null,
    dueAt: now,
    createdAt: now,
    resendOf: email,
    coversAfter: email.coversAfter ?? null,
    coversUntil: email.coversUntil ?? null,
  });
  return identity.id;
}
