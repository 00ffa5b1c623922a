import type { Suspicion } from '../../words.ts';
import { traps } from '../forms/fields.ts';
import type { MessageContent } from '../sealed-values.ts';

/** People rarely put more links into a message to a stranger. */
const maxLinks = 4;

/** Nobody can read and fill in a form faster than this. */
const minFillingMs = 1500;

/**
 * Finds signs that a program wrote the submission. Pure. The message is held then, not dropped: people paste lists of links,
 * too.
 *
 * @param values as posted, with hidden fields and `_elapsed` (from `/form.js`): milliseconds since the form was shown.
 */
export function findSuspicions(content: MessageContent, values: ReadonlyMap<string, unknown>): Suspicion[] {
  const written = [content.text, content.subject ?? '', ...content.extra.map(([, value]) => value)].join('\n');
  const found: Suspicion[] = [];
  if (traps.some((name) => isFilled(values.get(name)))) found.push('honeypot');
  if (isTooFast(values.get('_elapsed'))) found.push('filled-too-fast');
  if (countLinks(written) > maxLinks) found.push('many-links');
  if (/<a\s[^>]{0,200}href|\[url[=\]]|\[link[=\]]/i.test(written)) found.push('link-markup');
  if (countLinks(content.name ?? '') > 0) found.push('link-in-name');
  return found;
}

function isFilled(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '' && value !== false;
}

function isTooFast(value: unknown): boolean {
  const elapsed = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof elapsed === 'number' && elapsed >= 0 && elapsed < minFillingMs;
}

function countLinks(text: string): number {
  return text.match(/https?:\/\/|\bwww\.[a-z0-9-]/gi)?.length ?? 0;
}
