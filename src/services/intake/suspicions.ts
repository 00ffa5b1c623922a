import type { Suspicion } from '../../words.ts';
import type { MessageContent } from '../sealed-values.ts';

/** More links than people put into a message to somebody they do not know. */
const mostLinks = 4;

/** Fields that people do not see: ours and Formspree's, FormSubmit's, Netlify's, Web3Forms'. */
const traps = ['_gotcha', '_honey', 'bot-field', 'botcheck'];

/** Nobody reads a form and fills it in faster, in milliseconds. */
const fastestFilling = 1500;

/**
 * What looks like a program's work in a submission by itself. Pure. Each is a reason to hold the message, none to
 * drop it: people paste lists of links, too.
 *
 * @param values as posted: with the traps in it, and `_elapsed`, the milliseconds since the form
 *   was shown (set by `/form.js`).
 */
export function findSuspicions(content: MessageContent, values: ReadonlyMap<string, unknown>): Suspicion[] {
  const written = [content.text, content.subject ?? '', ...content.extra.map(([, value]) => value)].join('\n');
  const found: Suspicion[] = [];
  if (traps.some((name) => isFilled(values.get(name)))) found.push('honeypot');
  if (isTooFast(values.get('_elapsed'))) found.push('filled-too-fast');
  if (countLinks(written) > mostLinks) found.push('many-links');
  if (/<a\s[^>]{0,200}href|\[url[=\]]|\[link[=\]]/i.test(written)) found.push('link-markup');
  if (countLinks(content.name ?? '') > 0) found.push('link-in-name');
  return found;
}

function isFilled(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '' && value !== false;
}

function isTooFast(value: unknown): boolean {
  const elapsed = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof elapsed === 'number' && elapsed >= 0 && elapsed < fastestFilling;
}

function countLinks(text: string): number {
  return text.match(/https?:\/\/|\bwww\.[a-z0-9-]/gi)?.length ?? 0;
}
