import { msSql, runStatement, type Statement } from '../../database/statement.ts';
import { Problem } from '../../problems.ts';
import type { Scope } from '../scope.ts';
import type { SenderView } from '../views.ts';
import { findPerson } from './find-person.ts';
import { type SenderChoice, showSender } from './senders.ts';
import { suppressStatement } from './suppressions.ts';

const allowStatement: Statement = {
  name: 'unsuppress_2',
  text: 'delete from suppressions where address_index = any($1::bytea[]) returning address_index',
};

/** A sender, or an address without one. */
export type MaybeSender = SenderView | { id: null; email: string; suppressedAt: string | null };

/**
 * Stops auto-replies to this mailbox, as if its owner had used the link in one.
 *
 * @throws {Problem} sender-unknown for an unknown id, argument-invalid for a malformed address.
 */
export async function suppressSender(scope: Scope, which: SenderChoice): Promise<MaybeSender> {
  const { sender, address, mailboxes } = await findMailbox(scope, which);
  await runStatement(scope.em, suppressStatement, [mailboxes[0]]);
  if (sender !== null) return await showSender(scope, { id: sender.id });
  const [row] = await scope.em.execute<{ suppressed_ms: number }[]>(
    `select ${msSql('suppressed_at')} as suppressed_ms from suppressions where address_index = ?`,
    [mailboxes[0]],
  );
  return {
    id: null,
    email: address,
    suppressedAt: row === undefined ? null : new Date(row.suppressed_ms).toISOString(),
  };
}

/**
 * Allows auto-replies to this mailbox again, after its owner or an operator had stopped them.
 *
 * @throws {Problem} sender-unknown if there is no sender and auto-replies were not stopped; argument-invalid
 */
export async function unsuppressSender(scope: Scope, which: SenderChoice): Promise<MaybeSender> {
  const { sender, address, mailboxes } = await findMailbox(scope, which);
  const gone = await runStatement(scope.em, allowStatement, [mailboxes]);
  if (sender !== null) return await showSender(scope, { id: sender.id });
  if (gone.length === 0) {
    throw new Problem('sender-unknown', `nobody has written from ${address}, and auto-replies to it were not stopped`);
  }
  return { id: null, email: address, suppressedAt: null };
}

async function findMailbox(scope: Scope, which: SenderChoice) {
  const { sender, address, mailboxes } = await findPerson(scope, which);
  if (address === null) {
    throw new Problem('argument-invalid', 'this address cannot be decrypted: restore the missing key');
  }
  return { sender, address, mailboxes };
}
