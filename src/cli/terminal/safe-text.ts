/**
 * Characters that control a terminal or the text around them instead of being visible: control characters (U+009B alone
 * is an escape sequence), bidirectional marks, invisible characters, line separators, lone surrogates. Variation
 * selectors 15 and 16 are allowed: they are part of emoji.
 */
const unsafe = /(?![\ufe0e\ufe0f])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;
const unsafeButLineEnd = /(?![\ufe0e\ufe0f\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

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
