import { joiner } from '../../plain-line.ts';

/**
 * Characters that control a terminal or the text around them instead of being visible: control characters (U+009B alone
 * is an escape sequence), bidirectional marks, invisible characters, line separators, lone surrogates. Variation
 * selectors 15 and 16 are allowed, since they are part of emoji, and joiners that belong to the spelling.
 */
const characters = '[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}\\p{Cs}\\p{Default_Ignorable_Code_Point}]';
const unsafe = new RegExp(`(?![\\ufe0e\\ufe0f]|${joiner})${characters}`, 'gu');
const unsafeButLineEnd = new RegExp(`(?![\\ufe0e\\ufe0f\\n]|${joiner})${characters}`, 'gu');

/** Makes text from the database, a mail server or an error safe to print on a terminal. */
export function showSafe(text: string, options: { keepLines?: boolean } = {}): string {
  return text.replace(options.keepLines ? unsafeButLineEnd : unsafe, escapeCodePoint);
}

/** JSON that is safe to print and parses to exactly the given value. */
export function safeJson(value: unknown, options: { oneLine?: boolean } = {}): string {
  return JSON.stringify(value, undefined, options.oneLine ? undefined : 2).replace(unsafeButLineEnd, escapeUnits);
}

function escapeCodePoint(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}

function escapeUnits(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }).join('');
}
