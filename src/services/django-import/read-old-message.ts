import { normaliseAddress, readAddress } from '../../address.ts';
import type { OldMessage } from '../../database/django/old-database.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import type { WrittenTime } from '../../time-zone.ts';
import type { MessageContent } from '../sealed-values.ts';

/** Why a row cannot be imported, as an operator reads it after "message 17:". */
export const oldFaults = {
  'sender-missing': 'its sender is not in backend_sender',
  'address-invalid': "its sender's address is not an e-mail address",
  'text-empty': 'its text is empty',
  'date-unreadable': 'its date cannot be read',
  'date-impossible': 'its date is before 1970 or in the future',
} as const;

export type OldFault = keyof typeof oldFaults;

/** A row that can be imported. */
export interface TakeableMessage {
  oldId: bigint;
  content: MessageContent & { address: string };
  date: WrittenTime;
  /** Recognises the row when the import runs again. */
  print: Buffer;
}

/** How far a date may lie in the future, since clocks and time zones can be wrong, in milliseconds. */
const maxAheadMs = 24 * 3_600_000;

/**
 * Reads one row, or finds all its faults. The text is kept whole: limits on length and control characters apply only to
 * posts.
 *
 * The print is made from the row's content, not from where it was stored, so a file is still recognised after it was
 * moved or loaded into PostgreSQL. It includes the old id, so two messages with the same words are two.
 */
export function readOldMessage(
  row: OldMessage,
  date: WrittenTime | undefined,
  now: Date,
  keyring: Keyring,
): TakeableMessage | { faults: OldFault[] } {
  const faults: OldFault[] = [];
  const address = readAddress(row.address?.trim() ?? '');
  if (row.sender === null) faults.push('sender-missing');
  else if (address === undefined) faults.push('address-invalid');
  const text = row.text ?? '';
  if (text.trim() === '') faults.push('text-empty');
  if (date === undefined) faults.push('date-unreadable');
  else if (date.at.getTime() < 0 || date.at.getTime() > now.getTime() + maxAheadMs) faults.push('date-impossible');
  if (address === undefined || date === undefined || faults.length > 0) return { faults };
  const name = row.name?.trim();
  return {
    oldId: row.id,
    content: { address, ...(name && { name }), text, extra: [] },
    date,
    print: keyring.importPrint(JSON.stringify([String(row.id), date.canonical, normaliseAddress(address), text])),
  };
}
