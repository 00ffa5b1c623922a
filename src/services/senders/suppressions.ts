import { msSql, runStatement, type Statement } from '../../database/statement.ts';
import type { Sender } from '../../entities/index.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import { Problem } from '../../problems.ts';
import type { Scope } from '../scope.ts';
import { openOrNull, openSenderAddress } from '../sealed-values.ts';
import { readSignedLink, signLink } from '../signed-links.ts';
import { mailboxesForLimits, mailboxForLimits } from './mailboxes.ts';

/**
 * The token in the link that turns off auto-replies, about the keyed hash of the mailbox. It shows no address, and nobody can
 * make one for another mailbox.
 */
export function unsubscribeToken(keyring: Keyring, address: string): string {
  return signLink(keyring, 'unsubscribe', keyring.addressIndex(mailboxForLimits(address)));
}

/** Keyed hashes of the mailbox behind an address, under which its owner may have opted out. New opt-outs use the first. */
export function mailboxIndexes(keyring: Keyring, address: string): Buffer[] {
  return mailboxesForLimits(address).flatMap((it) => (it === undefined ? [] : [keyring.addressIndex(it)]));
}

/**
 * Reads a token. @returns the keyed hash of its mailbox.
 *
 * @throws {Problem} argument-invalid
 */
export function readUnsubscribeToken(keyring: Keyring, token: string): Buffer {
  const index = readSignedLink(keyring, 'unsubscribe', token);
  if (index?.length === 32) return index;
  throw new Problem(
    'argument-invalid',
    'this link is incomplete: open it from the mail again, or answer the mail and ask for no more confirmations',
  );
}

export const suppressStatement: Statement = {
  name: 'suppress_1',
  text: 'insert into suppressions (address_index, suppressed_at) values ($1::bytea, now()) on conflict do nothing',
};

/**
 * Stops auto-replies to a mailbox. A second call changes nothing.
 *
 * @throws {Problem} argument-invalid
 */
export async function unsubscribe(scope: Scope, token: string): Promise<void> {
  await runStatement(scope.em, suppressStatement, [readUnsubscribeToken(scope.keyring, token)]);
  scope.log.info('auto-replies to a mailbox were turned off by its owner');
}

const readStatement: Statement = {
  name: 'suppressed_1',
  text: `
select address_index, ${msSql('suppressed_at')} as suppressed_ms
from suppressions where address_index = any($1::bytea[])`,
};

/** By sender id: since when the sender wants no auto-reply. Senders whose address cannot be decrypted are left out. */
export async function readSuppressions(
  scope: Scope,
  senders: readonly Pick<Sender, 'id' | 'address'>[],
): Promise<Map<string, Date>> {
  const indexes = senders.flatMap((sender) => {
    const address = openOrNull(() => openSenderAddress(scope.keyring, sender));
    return address === null ? [] : mailboxIndexes(scope.keyring, address).map((index) => [sender.id, index] as const);
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
