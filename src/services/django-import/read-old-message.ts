import { normaliseAddress, readAddress } from '../../address.ts';
import type { OldMessage } from '../../database/django/old-database.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import type { MessageContent } from '../sealed-values.ts';
import type { OldDate } from './read-old-date.ts';

/** Why a row of the old database could not be taken, as an operator reads it after "message 17:". */
export const oldFaults = {
  'sender-missing': 'its sender is not in backend_sender',
  'address-invalid': "its sender's address is not an e-mail address",
  'text-empty': 'its text is empty',
  'date-unreadable': 'its date cannot be read',
  'date-impossible': 'its date is before 1970 or in the future',
} as const;

export type OldFault = keyof typeof oldFaults;

/** A row that can be taken. */
export interface TakeableMessage {
  oldId: bigint;
  content: MessageContent;
  date: OldDate;
  /** Known by this when the import is run again. */
  print: Buffer;
}

/** Clocks of visitors and time zones may be off by so much, in milliseconds. */
const aheadMs = 24 * 3_600_000;

/**
 * Reads one row, or finds every fault of it. What it holds is kept whole: the limits on length and control
 * characters are for what comes through the door.
 *
 * Its print is made of all that it holds, not of where it stood: a file that was moved, or loaded into another kind
 * of database, is still known. The old id is in it, so that two messages with the same words are two.
 */
export function readOldMessage(
  row: OldMessage,
  readDate: (text: string) => OldDate | undefined,
  now: Date,
  keyring: Keyring,
): TakeableMessage | { faults: OldFault[] } {
  const faults: OldFault[] = [];
  const address = readAddress(row.sender?.address?.trim() ?? '');
  if (row.sender === null) faults.push('sender-missing');
  else if (address === undefined) faults.push('address-invalid');
  const text = row.text ?? '';
  if (text.trim() === '') faults.push('text-empty');
  const date = readDate(row.date ?? '');
  if (date === undefined) faults.push('date-unreadable');
  else if (date.at.getTime() < 0 || date.at.getTime() > now.getTime() + aheadMs) faults.push('date-impossible');
  if (address === undefined || date === undefined || faults.length > 0) return { faults };
  const name = row.sender?.name?.trim();
  return {
    oldId: row.id,
    content: { address, ...(name && { name }), text, extra: [] },
    date,
    print: keyring.importPrint(JSON.stringify([String(row.id), date.canonical, normaliseAddress(address), text])),
  };
}
