import { domainToUnicode } from 'node:url';
import { Message } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { readTypedReceipt } from '../ids.ts';
import { cutPage, type Page, type PageRequest, readIdCursor, readLimit, walkById, writeCursor } from '../paging.ts';
import type { Scope } from '../scope.ts';
import { type MessageView, viewMessage } from '../views.ts';
import { type MessageFilter, messagesWhere } from './messages.ts';

/** Rows in memory at a time. */
const batchSize = 200;

/** Words to search for, as `foldText` writes them; a receipt in its usual spelling. @throws {Problem} argument-invalid */
export function readWords(given: readonly string[]): string[] {
  return given.map((word) => {
    // Without RW it may be a word of ten letters, and is part of the receipt anyway.
    const receipt = /^\W*rw/i.test(word) ? readTypedReceipt(word) : undefined;
    const folded = foldText(receipt ?? word).trim();
    if (folded === '') throw new Problem('argument-invalid', `"${word}" has no characters to search for`);
    return folded;
  });
}

/** For comparing: without accents, upper case and line breaks. */
export function foldText(text: string): string {
  const plain = text.normalize('NFKD').replace(/[\u0300-\u036f]+/g, '');
  // A sigma is written in two ways in lower case.
  return plain.toLowerCase().replaceAll('ß', 'ss').replaceAll('ς', 'σ').replace(/\s+/g, ' ');
}

/** Messages that were compared. */
export interface Batch {
  hits: MessageView[];
  searched: number;
  /** How many of them cannot be decrypted; only their receipts were compared. */
  unopened: number;
  lastId: string;
}

/**
 * Compares all messages of the filter, the newest first, batch by batch.
 *
 * @param words from `readWords`.
 * @throws {Problem} form-unknown, sender-unknown, argument-invalid
 */
export async function* searchMessages(
  scope: Scope,
  words: readonly string[],
  filter: MessageFilter & PageRequest = {},
): AsyncGenerator<Batch> {
  const [where, start] = [await messagesWhere(scope, filter), readIdCursor(filter.cursor)];
  const read = (before: string) =>
    scope.em
      .fork()
      .find(
        Message,
        { $and: [where, { id: { $lt: before } }] },
        { populate: ['form', 'sender'], orderBy: { id: 'desc' }, limit: batchSize },
      );
  for await (const rows of walkById(read, start)) {
    const views = rows.map((row) => viewMessage(scope.keyring, row));
    yield {
      hits: views.filter((view) => isHit(view, words)),
      searched: views.length,
      unopened: views.filter((view) => view.message === null).length,
      lastId: views.at(-1)?.id ?? '',
    };
  }
}

function isHit({ receipt, email, name, subject, message, extra }: MessageView, words: readonly string[]): boolean {
  // Addresses are stored with the domain in ASCII.
  const readable = email?.includes('xn--') ? email.replace(/[^@]+$/, domainToUnicode) : null;
  const fields = [`#${receipt}`, email, readable, name, subject, message, ...Object.entries(extra ?? {}).flat()];
  // No word goes on in another field.
  const folded = foldText(fields.join('\0'));
  return words.every((word) => folded.includes(word));
}

/**
 * A page of the messages that match, as `listMessages` returns it.
 *
 * @param stop ends the search early; the page then has what was found, and its cursor continues the search.
 * @throws {Problem} form-unknown, sender-unknown, argument-invalid
 */
export async function listMatches(
  scope: Scope,
  words: readonly string[],
  request: MessageFilter & PageRequest,
  { stop, onProgress }: { stop: AbortSignal; onProgress: (searched: number) => void },
): Promise<Page<MessageView> & { unopened: number }> {
  const limit = readLimit(request.limit);
  const hits: MessageView[] = [];
  let [searched, unopened] = [0, 0];
  for await (const batch of searchMessages(scope, words, request)) {
    hits.push(...batch.hits);
    unopened += batch.unopened;
    searched += batch.searched;
    onProgress(searched);
    if (hits.length > limit) break;
    if (stop.aborted) return { items: hits, next: writeCursor({ id: batch.lastId }), unopened };
  }
  return { ...cutPage(hits, limit, (hit) => hit), unopened };
}
