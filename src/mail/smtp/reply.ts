import { plainLine } from '../../plain-line.ts';

const maxReply = 500;

/**
 * One line of at most 500 characters, without control, format or bidi characters, because the text of a foreign server is
 * shown in logs and on terminals.
 */
export function cleanReply(text: string): string {
  // Cut first: a reply may be a megabyte long.
  const line = plainLine(text.slice(0, 4 * maxReply));
  return line.length <= maxReply ? line : `${line.slice(0, maxReply - 1).toWellFormed()}…`;
}

const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000 };
const maxWaitMs = 24 * unitsMs.h;

// Between the word and the number only such joining words are allowed, and the number must not be part of a name.
const retryAfter =
  /\b(?:again|retry|later|wait|back)(?:,? (?:again|later|after|in|for|at least|about|another|within))*:? (\d{1,6}) ?(?:(s)(?:ec(?:ond)?s?)?|(m)(?:in(?:ute)?s?)?|(h)(?:(?:ou)?rs?)?)(?![.-]?\w)/i;

/** The wait a temporary refusal asks for ("try again in 5 minutes", "retry after 300 seconds"), at most a day. */
export function readRetryAfter(reply: string): number | undefined {
  const [, count, seconds, minutes] = retryAfter.exec(reply) ?? [];
  if (count === undefined) return undefined;
  const unit = seconds ? unitsMs.s : minutes ? unitsMs.m : unitsMs.h;
  return Math.min(Number(count) * unit, maxWaitMs);
}
