/**
 * Characters that do something to a terminal or to the text around them instead of being seen: control
 * characters of both blocks (U+009B is an escape sequence in one byte), bidirectional marks, zero-width and other
 * invisible ones, line separators, lone surrogates. Variation selectors 15 and 16 are let through: they belong
 * to emoji.
 */
const unsafe = /(?![\ufe0e\ufe0f])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;
const unsafeButLineEnd = /(?![\ufe0e\ufe0f\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

/** Text from the database, from a mail server or from an error, as it may stand on a terminal. */
export function showSafe(text: string, options: { keepLines?: boolean } = {}): string {
  return text.replace(options.keepLines ? unsafeButLineEnd : unsafe, escapeCodePoint);
}

/** JSON that is as safe to look at, and still parses to exactly what was given. */
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
