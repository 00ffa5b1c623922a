import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);

/** Latin letters and common punctuation, each one column wide; without the soft hyphen, which is none. */
const plain = /^[\u0020-\u007e\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027]*$/;

/**
 * How many columns of a terminal a text takes. The package that knows it for every script is loaded only for a
 * text that needs it: that takes as long as half of Node's own start.
 */
export function textWidth(text: string): number {
  if (plain.test(text)) return text.length;
  return (load('string-width') as typeof import('string-width')).default(text);
}

/** What a reader sees as characters, one by one. */
export function graphemesOf(text: string): Iterable<string> {
  if (plain.test(text)) return text;
  return Array.from(new Intl.Segmenter().segment(text), (it) => it.segment);
}
