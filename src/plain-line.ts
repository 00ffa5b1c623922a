const joined = String.raw`\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}`;

/**
 * Regular expression (flag `u`) for U+200C and U+200D where they are part of the spelling: between letters, marks and emoji,
 * as in Persian, Indic scripts and families of emoji.
 */
export const joiner = `(?<=[${joined}])[\\u200c\\u200d](?=[${joined}])`;

/** Variation selectors choose between forms of a character, so they are spelling too. */
const invisible = /(?![\u200c\u200d]|\p{Variation_Selector})[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu;
const looseJoiner = new RegExp(`(?!${joiner})[\\u200c\\u200d]`, 'gu');

/**
 * One line of text without control characters and lone surrogates, and without characters that nobody sees: bidirectional
 * controls, zero-width spaces, tags, fillers.
 */
export function plainLine(text: string): string {
  return text
    .toWellFormed()
    .replace(invisible, '')
    .replace(/[\u200c\u200d]+/g, (run) => run[0] as string)
    .replace(looseJoiner, '')
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
}
