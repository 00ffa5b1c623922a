import { plainLine } from '../../plain-line.ts';

/** Several lines of text as it was written, without control characters except tab and newline. */
export function cleanText(text: string): string {
  return text
    .toWellFormed()
    .replace(/\r\n?|[\u0085\u2028\u2029]/g, '\n')
    .replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, '');
}

/**
 * One line of at most `max` characters that is safe in a header: a plain line without anything that mail programs would decode
 * as an encoded word.
 */
export function cleanLine(text: string, max: number): string {
  return cut(plainLine(text).replaceAll('=?', '= ?'), max);
}

/** Breaks a paragraph of a text part into lines. */
export function wrap(text: string, columns = 70): string {
  return text.replace(new RegExp(`(.{1,${columns}})(?: |$)`, 'gm'), '$1\n').trimEnd();
}

/** The first column of a text part, as `Name:     `: as wide as the word for a receipt needs. */
export function inColumn<Key extends string>(labels: Readonly<Record<Key | 'receipt', string | null>>) {
  const width = (labels.receipt?.length ?? 0) + 3;
  const entries = Object.entries<string | null>(labels).map(([key, it]) => [key, `${it}: `.padEnd(width)]);
  return Object.fromEntries(entries) as Record<Key, string>;
}

/** Dots of host names. Between two Chinese or Japanese characters `。` ends a sentence. */
const hostDots =
  /(?:(?<=[^\s.\d])[.\u3002\uff0e\uff61](?=[\p{L}\p{N}])|(?<=\d)[.\u3002\uff0e\uff61](?=\p{L}))(?<![\p{scx=Han}\p{scx=Hira}\p{scx=Kana}][\u3002\uff0e\uff61](?=[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}]))/gu;

/**
 * Web addresses as text that no mail program makes a link of, in a text part either: `pills[.]test/buy`. A mail of ours must
 * not carry links of strangers whose messages nobody has looked at.
 */
export function breakLinks(line: string): string {
  return line
    .replace(/[a-z][a-z0-9+.-]*:[/\\]{2,}/gi, '')
    .replace(/\d{1,3}(?:\.\d{1,3}){3}/g, (ip) => ip.replaceAll('.', '[.]'))
    .replace(hostDots, '[$&]')
    .replace(/(?<=\p{L})[:\uff1a](?=\S)/gu, '$& ');
}

/** Kept, because creating one takes longer than cutting a line. */
let segmenter: Intl.Segmenter | undefined;

/** At most `max` UTF-16 units, ending with "…" if something was cut off; never half of a character. */
function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  let kept = '';
  segmenter ??= new Intl.Segmenter('en');
  for (const { segment } of segmenter.segment(text)) {
    if (kept.length + segment.length >= max) break;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
}
