import type { EntityManager } from '@mikro-orm/postgresql';
import { Email } from '../../entities/index.ts';
import type { ProblemCode } from '../../problems.ts';
import { atMostOnceKinds, emailKinds, emailStates, type Need } from '../../words.ts';
import { formatSpan } from '../clock.ts';
import { closeDigests } from '../digest.ts';
import { newEmailIdentity } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { openReply, sealReply } from '../sealed-values.ts';
import { replyLastsHours } from './cancel-unwanted.ts';
import type { EmailFilter } from './emails.ts';

/** Selects failed emails, or queued ones that wait for a later time. */
export type ResendQuery = EmailFilter & { state: 'failed' | 'queued' };

/** Which emails to send again. */
export type ResendRequest = ({ ids: readonly string[] } | { query: ResendQuery }) & {
  /** Includes emails that were sent or cancelled, or that may have arrived. */
  again?: boolean;
  /** The owner's address that notifications go to instead of theirs. */
  to?: string;
  /** Only report what would happen. */
  dryRun?: boolean;
  /** Stops between two batches; what was done until then is reported. */
  stop?: AbortSignal;
  onProgress?: (done: number) => void;
};

export interface Resent {
  id: string;
  /**
   * `queued`: it will be sent now (in a dry run: would be). `already-queued`: it would have been sent now anyway.
   * `skipped`: found by a query, but for this reason a person has to decide about it.
   */
  result: 'queued' | 'already-queued' | 'skipped' | 'refused' | 'not-found';
  /** The new email that replaces one that was sent or cancelled. */
  newId: string | null;
  code: Extract<ProblemCode, 'email-unknown' | 'email-leased' | 'email-not-resendable'> | null;
  /** Why it was not queued, why it is sent again, or what changed. */
  reason: string | null;
  /** If it is refused because the request lacks something. */
  needs?: Need;
}

type Decision = Pick<Resent, 'result'> & Partial<Resent>;

/** An email, locked in the transaction of `em`, and what decides about resending it. */
interface Case {
  em: EntityManager;
  scope: Scope;
  email: Email;
  now: Date;
  request: ResendRequest;
  /** In a dry run: the messages that the other address would be told about. */
  planned: Set<string> | undefined;
  /** Found by a query, and not named by its id: whatever needs a person's decision is then skipped. */
  isFromQuery: boolean;
}

/** Resends one email, if its state and the request allow that. The caller flushes. */
export async function resendOne(given: Omit<Case, 'isFromQuery'>): Promise<Resent> {
  const decision = await decide({ ...given, isFromQuery: 'query' in given.request });
  return { id: given.email.id, newId: null, code: null, reason: null, ...decision };
}

async function decide(given: Case): Promise<Decision> {
  const { email, now, request, isFromQuery } = given;
  if (email.isLeased(now)) {
    const reason = 'is being sent at this moment';
    // A worker has claimed it since the query.
    return isFromQuery ? { result: 'already-queued', reason } : { result: 'refused', code: 'email-leased', reason };
  }
  const unknown = describeUnknown(email);
  if (unknown !== undefined) return isFromQuery ? skipped(unknown) : refused(unknown);
  if (request.to !== undefined && email.kind !== 'notification') {
    return refused('only a notification goes to another address');
  }
  switch (email.state) {
    case 'queued':
      return await resendQueued(given);
    case 'held':
      return refused(messageHeld);
    case 'failed':
      return await resendFailed(given);
    case 'cancelled':
    case 'sent':
      return await resendFinished(given);
  }
}

const messageHeld = 'its message is held';
const mayHaveArrived = 'may have arrived';
const tooLate = 'an auto-reply of more than a day ago';

function refused(reason: string, needs?: Need): Decision {
  return { result: 'refused', code: 'email-not-resendable', reason, ...(needs && { needs }) };
}

function skipped(reason: string): Decision {
  return { result: 'skipped', reason };
}

function isTooLate({ email, now }: Case): boolean {
  const waitedMs = now.getTime() - email.scheduledAt().getTime();
  return email.kind === 'auto-reply' && waitedMs >= replyLastsHours * 60 * 60_000;
}

/** Why this release does not know the rules for an email that a later release wrote. */
function describeUnknown({ kind, state }: Email): string | undefined {
  if (!emailKinds.includes(kind)) return `is of a kind that this release does not know: ${kind}`;
  return emailStates.includes(state) ? undefined : `is in a state that this release does not know: ${state}`;
}

async function resendQueued(given: Case): Promise<Decision> {
  const { email, now, request, isFromQuery } = given;
  if (request.to !== undefined) return await sendElsewhere(given, request.to);
  const isLate = isTooLate(given);
  if (isLate && isFromQuery) return skipped(tooLate);
  // A late auto-reply needs a new schedule, or it is cancelled when it is due. If its worker died, it may have arrived.
  if (email.dueAt <= now && (!isLate || email.isUncertain())) {
    return { result: 'already-queued', reason: 'was queued already' };
  }
  const early = email.dueAt.getTime() - now.getTime();
  const reason = `due now${early > 0 ? `, was due in ${formatSpan(early)}` : ''}`;
  email.queueAgain(now);
  return { result: 'queued', reason };
}

async function resendFailed(given: Case): Promise<Decision> {
  const { email, now, request, isFromQuery } = given;
  if (email.message?.status === 'held') return refused(messageHeld);
  if (request.to !== undefined) return await sendElsewhere(given, request.to);
  const isUncertain = atMostOnceKinds.includes(email.kind) && email.failure === 'outcome-unknown';
  if (isUncertain && isFromQuery) return skipped(mayHaveArrived);
  if (isTooLate(given) && isFromQuery) return skipped(tooLate);
  if (isUncertain && !request.again) return refused(mayHaveArrived, 'again');
  email.queueAgain(now);
  return { result: 'queued' };
}

/** Resends a sent or cancelled email as a copy. */
async function resendFinished(given: Case): Promise<Decision> {
  const { em, email, request, isFromQuery } = given;
  const what = email.state === 'sent' ? 'was sent' : 'was cancelled';
  // Queries select other states, so this happened since the query.
  if (isFromQuery) return skipped(`${what} meanwhile`);
  // A cancelled auto-reply is usually one that its recipient does not want.
  if (email.state === 'cancelled' && !['notification', 'reply'].includes(email.kind) && email.failure !== 'too-late') {
    return refused(`${what}, and only a notification or a reply is sent then`);
  }
  if (email.message?.status === 'held') return refused(messageHeld);
  if (!request.again) return refused(what, 'again');
  const recipient = request.to ?? email.recipient ?? null;
  const waiting = await em.findOne(Email, { resendOf: email.id, state: 'queued', recipient });
  if (waiting !== null) return { result: 'already-queued', newId: waiting.id, reason: 'queued once more already' };
  return { result: 'queued', newId: copyEmail(given, recipient), reason: `${what} before` };
}

/**
 * Cancels a notification that was not sent, and queues a copy to another owner's address, unless another notification
 * tells that address about the message already.
 */
async function sendElsewhere(given: Case, to: string): Promise<Decision> {
  const { em, email, planned } = given;
  const messageId = email.message?.id ?? '';
  const about = { message: email.message ?? null, kind: 'notification', recipient: to } as const;
  const told = await em.find(Email, { ...about, state: { $in: ['queued', 'sent'] } });
  // Read before the cancelling: a digest also tells about other messages.
  const isDigest = email.isDigest();
  email.cancel();
  if (told.some((it) => it !== email && (it.isDigest() || !isDigest)) || (!isDigest && planned?.has(messageId))) {
    // Later messages need another digest.
    if (isDigest && planned === undefined) await closeDigests(em, [email.digestId ?? '']);
    return skipped('cancelled: another one tells that address about the message');
  }
  planned?.add(messageId);
  return { result: 'queued', newId: copyEmail(given, to), reason: `instead of one to ${email.recipient}` };
}

/** Queues the same mail as a new email, due now. @returns its id. */
function copyEmail({ em, scope, email, now }: Case, recipient: string | null): string {
  const identity = newEmailIdentity(scope.config);
  const text = openReply(scope.keyring, email);
  em.create(Email, {
    ...identity,
    kind: email.kind,
    state: 'queued',
    message: email.message ?? null,
    recipient,
    sender: email.sender ?? null,
    dueAt: now,
    createdAt: now,
    resendOf: email,
    content: text === null ? null : sealReply(scope.keyring, identity.id, text),
    coversAfter: email.coversAfter ?? null,
    coversUntil: email.coversUntil ?? null,
    digestId: email.isDigest() ? (email.digestId ?? null) : null,
  });
  return identity.id;
}
