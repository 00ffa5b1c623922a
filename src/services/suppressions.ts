import { timingSafeEqual } from 'node:crypto';
import { runStatement, type Statement } from '../database/statement.ts';
import type { Sender } from '../entities/index.ts';
import type { Keyring } from '../privacy/keyring.ts';
import { Problem } from '../problems.ts';
import type { ClaimedEmail } from './claim-due.ts';
import { openOrNull } from './open-seal.ts';
import { mailboxForLimits } from './reply-rules.ts';
import type { Scope } from './scope.ts';
import { openSenderAddress } from './sender-seals.ts';

/**
 * What the "never again" link of an auto-reply carries: the keyed hash of its mailbox, and a signature that only we
 * can make. It names nobody to whoever reads it on the way, and none can be made for somebody else's mailbox.
 */
export function unsubscribeToken(keyring: Keyring, address: string): string {
  const index = keyring.addressIndex(mailboxForLimits(address));
  return `${index.toString('base64url')}.${signature(keyring, index).toString('base64url')}`;
}

/**
 * Whose mailbox a token is for, as its keyed hash.
 *
 * @throws {Problem} argument-invalid
 */
export function readUnsubscribeToken(keyring: Keyring, token: string): Buffer {
  const [index = Buffer.alloc(0), signed = Buffer.alloc(0)] = token
    .split('.')
    .map((part) => Buffer.from(part, 'base64url'));
  const expected = signature(keyring, index);
  if (index.length !== 32 || signed.length !== expected.length || !timingSafeEqual(signed, expected)) {
    throw new Problem('argument-invalid', 'this link is not complete: please copy all of it from the mail');
  }
  return index;
}

function signature(keyring: Keyring, index: Buffer): Buffer {
  return keyring.linkSignature(`unsubscribe ${index.toString('base64url')}`);
}

export const suppressStatement: Statement = {
  name: 'suppress_1',
  text: 'insert into suppressions (address_index, suppressed_at) values ($1::bytea, now()) on conflict do nothing',
};

/**
 * From now on no auto-reply goes to this mailbox; saying it twice is saying it once.
 *
 * @throws {Problem} argument-invalid
 */
export async function unsubscribe(scope: Scope, token: string): Promise<void> {
  await runStatement(scope.em, suppressStatement, [readUnsubscribeToken(scope.keyring, token)]);
  scope.log.info('a mailbox asked never to get an auto-reply again');
}

const readStatement: Statement = {
  name: 'suppressed_1',
  text: `
select address_index, (extract(epoch from suppressed_at) * 1000)::float8 as suppressed_ms
from suppressions where address_index = any($1::bytea[])`,
};

/** Since when each of these wants no auto-reply, by the sender's id; those whose seal does not open are left out. */
export async function readSuppressions(
  scope: Scope,
  senders: readonly Pick<Sender, 'id' | 'address'>[],
): Promise<Map<string, Date>> {
  const indexes = senders.flatMap((sender) => {
    const address = openOrNull(() => openSenderAddress(scope.keyring, sender));
    return address === null ? [] : [[sender.id, scope.keyring.addressIndex(mailboxForLimits(address))] as const];
  });
  const rows = await runStatement<{ address_index: Buffer; suppressed_ms: number }>(scope.em, readStatement, [
    indexes.map(([, index]) => index),
  ]);
  const dates = new Map(rows.map((row) => [row.address_index.toString('hex'), new Date(row.suppressed_ms)]));
  return new Map(
    indexes.flatMap(([id, index]) => {
      const date = dates.get(index.toString('hex'));
      return date === undefined ? [] : [[id, date]];
    }),
  );
}

/** Only the worker that holds the lease changes anything, as in `settle-emails.ts`. */
const cancelStatement: Statement = {
  name: 'cancel_unwanted_2',
  text: `
update emails set state = 'cancelled', lease_token = null, tries = tries - 1
from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as given (email_id, lease_token, address_index)
where emails.id = given.email_id and emails.lease_token = given.lease_token and (
  exists (select from senders where senders.id = emails.sender_id and blocked_at is not null)
  or exists (select from suppressions where suppressions.address_index = given.address_index)
)
returning emails.id`,
};

/**
 * Cancels, of the emails that a worker has just taken, the auto-replies that are unwanted by now: their sender was
 * blocked or asked for none after the message was stored.
 *
 * @returns the ids of those.
 */
export async function cancelUnwanted(scope: Scope, emails: readonly ClaimedEmail[]): Promise<Set<string>> {
  const asked = emails.flatMap((email) => {
    const { message } = email;
    if (email.kind !== 'auto-reply' || message === null) return [];
    const address = openOrNull(() => openSenderAddress(scope.keyring, message.sender));
    // Without its key nobody knows where it would go, and so it cannot be sent either.
    return address === null ? [] : [{ email, index: scope.keyring.addressIndex(mailboxForLimits(address)) }];
  });
  if (asked.length === 0) return new Set();
  const cancelled = await runStatement<{ id: string }>(scope.em, cancelStatement, [
    asked.map((it) => it.email.id),
    asked.map((it) => it.email.leaseToken),
    asked.map((it) => it.index),
  ]);
  return new Set(cancelled.map((row) => row.id));
}
