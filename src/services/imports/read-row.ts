import { normaliseAddress, readAddress } from '../../address.ts';
import type { Form } from '../../entities/index.ts';
import type { WrittenTime } from '../../time-zone.ts';
import { emailFieldsOf } from '../forms/fields.ts';
import type { Scope } from '../scope.ts';
import type { MessageContent } from '../sealed-values.ts';
import type { ImportFault } from './import-report.ts';

/** A row of another program's data. */
export interface SourceRow {
  /** Its id, or its line in a file. */
  id: bigint;
  content: MessageContent;
  date: string;
  faults: ImportFault[];
  /** What recognises the row when the import runs again. @param at the date, the same for every way to write one moment. */
  identify(at: string): string;
}

/** A row that can be imported. */
export interface TakeableMessage {
  oldId: bigint;
  content: MessageContent;
  date: WrittenTime;
  /** Keyed hashes of the sender's address and of those in the form's fields of type `email`. */
  indexes: [sender: Buffer | null, ...others: Buffer[]];
  /** Recognises the row when the import runs again. */
  print: Buffer;
}

/** How far a date may lie in the future, since clocks and time zones can be wrong, in milliseconds. */
const maxAheadMs = 24 * 3_600_000;

/**
 * Reads one row, or finds all its faults. The print is made from the row's content, not from where it was stored, so a file
 * is still recognised after it was moved or loaded into PostgreSQL.
 */
export function readRow(
  { id, content, faults, identify }: SourceRow,
  date: WrittenTime | undefined,
  { now, keyring }: Pick<Scope, 'now' | 'keyring'>,
  form: Pick<Form, 'fields'>,
): TakeableMessage | undefined {
  if (date === undefined) faults.push('date-unreadable');
  else if (date.at.getTime() < 0 || date.at.getTime() > now().getTime() + maxAheadMs) faults.push('date-impossible');
  if (date === undefined || faults.length > 0) return undefined;
  const indexOf = (address: string | undefined) => address && keyring.addressIndex(normaliseAddress(address));
  const isEmail = (name: string) => emailFieldsOf(form)?.includes(name);
  const others = content.extra.flatMap(([name, value]) => (isEmail(name) && indexOf(readAddress(value.trim()))) || []);
  const indexes: TakeableMessage['indexes'] = [indexOf(content.address) || null, ...others];
  return { oldId: id, content, date, indexes, print: keyring.importPrint(identify(date.canonical)) };
}
