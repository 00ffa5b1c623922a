import { LockMode } from '@mikro-orm/postgresql';
import { validate as isUuid } from 'uuid';
import { normaliseAddress, readAddress } from '../../address.ts';
import { inTransaction, msSql } from '../../database/statement.ts';
import { Message, Sender } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { databaseNow } from '../clock.ts';
import { cutPage, type Page, type PageRequest, readLimit, readTimeCursor } from '../paging.ts';
import type { Scope } from '../scope.ts';
import { type SenderView, viewSender } from '../views.ts';
import { readSuppressions } from './suppressions.ts';

export interface SenderFilter {
  /** The last message came then or later. */
  since?: Date;
  blocked?: boolean;
}

/** Senders, latest first. Reads plain rows, because loading entities would take most of the time. */
export async function listSenders(scope: Scope, request: SenderFilter & PageRequest = {}): Promise<Page<SenderView>> {
  const limit = readLimit(request.limit);
  const after = readTimeCursor(request.cursor);
  const rows = await scope.em.execute<SenderRow[]>(
    `select id, address, name, message_count as "messageCount", ${msSql('blocked_at')} as blocked,
       ${msSql('first_message_at')} as first, ${msSql('last_message_at')} as last
     from senders where (last_message_at, id) < (?::timestamptz, ?::uuid)
       and last_message_at >= ?::timestamptz ${request.blocked ? 'and blocked_at is not null' : ''}
     order by last_message_at desc, id desc limit ?`,
    [after.at, after.id, request.since?.toISOString() ?? '-infinity', limit + 1],
  );
  const senders = rows.map(({ blocked, first, last, ...row }) => ({
    ...row,
    blockedAt: blocked === null ? null : new Date(blocked),
    firstMessageAt: new Date(first),
    lastMessageAt: new Date(last),
    at: new Date(last),
  }));
  const suppressed = await readSuppressions(scope, senders);
  return cutPage(senders, limit, (row) => viewSender(scope.keyring, row, suppressed.get(row.id)));
}

type SenderRow = Pick<Sender, 'id' | 'address' | 'name' | 'messageCount'> & {
  blocked: number | null;
  first: number;
  last: number;
};

/** A sender by id or by address. */
export type SenderChoice = { id: string } | { email: string };

/** @throws {Problem} sender-unknown */
export async function showSender(scope: Scope, which: SenderChoice): Promise<SenderView> {
  return await viewOne(scope, await findSender(scope, which));
}

/** Read the row again even if this scope has loaded it before. */
const fresh = { refresh: true } as const;

/** @throws {Problem} sender-unknown, argument-invalid for a malformed address. */
export async function findSender(scope: Scope, which: SenderChoice): Promise<Sender> {
  if ('id' in which) {
    const found = isUuid(which.id) ? await scope.em.findOne(Sender, { id: which.id }, fresh) : null;
    if (found === null) throw new Problem('sender-unknown', `there is no sender ${which.id}`);
    return found;
  }
  const address = readSenderAddress(which.email);
  const addressIndex = scope.keyring.addressIndex(normaliseAddress(address));
  const found = await scope.em.findOne(Sender, { addressIndex }, fresh);
  if (found !== null) return found;
  const isNamed = (await scope.em.count(Message, withAddress(addressIndex))) > 0;
  const others = isNamed ? ', but others have named it' : '';
  throw new Problem('sender-unknown', `nobody has written from ${address}${others}`, {
    searchable: isNamed ? address : undefined,
  });
}

/** The messages with this address in another field than the sender's. */
export function withAddress(addressIndex: Buffer) {
  return { otherAddresses: { $contains: [addressIndex.toString('hex')] } };
}

/** @throws {Problem} argument-invalid for a malformed address. */
export function readSenderAddress(text: string): string {
  const address = readAddress(text.trim());
  if (address === undefined) throw new Problem('argument-invalid', `"${text}" is not an e-mail address`);
  return address;
}

/**
 * Blocks a sender: new messages are held, and auto-replies are not sent, even queued ones. Notifications about earlier
 * messages are still sent.
 *
 * @throws {Problem} sender-unknown, argument-invalid
 */
export async function blockSender(scope: Scope, which: SenderChoice): Promise<SenderView> {
  return await changeSender(scope, which, (sender, now) => sender.block(now));
}

/** @throws {Problem} sender-unknown, argument-invalid */
export async function unblockSender(scope: Scope, which: SenderChoice): Promise<SenderView> {
  return await changeSender(scope, which, (sender) => sender.unblock());
}

async function changeSender(
  scope: Scope,
  which: SenderChoice,
  change: (sender: Sender, now: Date) => void,
): Promise<SenderView> {
  const { id } = await findSender(scope, which);
  const changed = await inTransaction(scope.em, async (em) => {
    // The sender may have been erased while we waited for the lock.
    const sender = await em.findOne(Sender, { id }, { refresh: true, lockMode: LockMode.PESSIMISTIC_WRITE });
    if (sender === null) throw new Problem('sender-unknown', `sender ${id} was erased at this moment`);
    change(sender, await databaseNow(em));
    await em.flush();
    return sender;
  });
  return await viewOne(scope, changed);
}

async function viewOne(scope: Scope, sender: Sender): Promise<SenderView> {
  return viewSender(scope.keyring, sender, (await readSuppressions(scope, [sender])).get(sender.id));
}
