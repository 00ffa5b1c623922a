import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);

/** Latin letters and common punctuation, each one column wide. The soft hyphen has no width and is left out. */
const plain = /^[\u0020-\u007e\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027]*$/;

/**
 * How many columns a text takes on a terminal. The package for other scripts is loaded only for a text that needs it:
 * loading takes half as long as Node's own start.
 */
export function textWidth(text: string): number {
  if (plain.test(text)) return text.length;
  return (load('string-width') as typeof import('string-width')).default(text);
}

/** The characters as a reader sees them (grapheme clusters). */
export function graphemesOf(text: string): Iterable<string> {
  if (plain.test(text)) return text;
  return Array.from(new Intl.Segmenter().segment(text), (it) => it.segment);
}
