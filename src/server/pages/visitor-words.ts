import { catalogueOf, fill } from '../../languages/languages.ts';
import type { Language } from '../../words.ts';
import type { ProblemDetails } from '../http/problem-details.ts';

/** The request that was refused. */
export interface Refused {
  isPost: boolean;
  /** Whether a post was read, so that it may have been stored. */
  isRead: boolean;
  /** Seconds until the client may try again; 0 if the answer does not say. */
  wait: number;
  /** The operator's words for a closed form. */
  closedText: string | undefined;
  language: Language;
  /** The label of a field of the form. */
  label: (field: string) => string;
}

interface Words {
  heading: string;
  text: string;
}

/** The API's words are for those who make the page; visitors get these. */
export function wordsForVisitors({ code, status, errors }: ProblemDetails, refused: Refused): Words {
  const { isPost, isRead, wait, closedText, language } = refused;
  const { problems } = catalogueOf(language);
  const known: Readonly<Record<string, Words>> = problems;
  if (status >= 500) return problems[isRead ? 'our-fault-posted' : 'our-fault'];
  // `/api/messages` takes forms, and programs with a key read from it.
  const visited = code === 'route-unknown' ? 'page-unknown' : code === 'method-not-allowed' ? 'no-page' : code;
  const posted = errors?.[0]?.code === 'too-many' ? 'too-many' : code;
  const { heading, text } = known[isPost ? posted : visited] ?? problems[isPost ? 'body-type-unknown' : 'no-page'];
  if (code === 'form-closed') return { heading, text: closedText ?? text };
  return { heading, text: code === 'rate-limited' ? fill(text, { time: duration(wait, language) }) : text };
}

/** Making one takes as long as half a refusal. */
const formats = new Map<string, Intl.NumberFormat>();

function duration(seconds: number, language: Language): string {
  const [count, unit] = seconds > 90 ? [Math.ceil(seconds / 60), 'minute'] : [Math.max(1, seconds), 'second'];
  const key = `${language} ${unit}`;
  const format = formats.get(key) ?? new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' });
  formats.set(key, format);
  return format.format(count);
}
