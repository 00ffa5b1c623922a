const maxReply = 500;

/**
 * One line of at most 500 characters without control, format or bidi characters. The text comes from
 * a foreign server and ends up in the database, in logs and on terminals.
 */
export function cleanReply(text: string): string {
  // Cut first: a reply may be a megabyte long, and the rest is never shown.
  const line = text
    .slice(0, 4 * maxReply)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  return line.length <= maxReply ? line : `${line.slice(0, maxReply - 1).toWellFormed()}…`;
}

const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000 };
const maxWaitMs = 24 * unitsMs.h;

// Only what joins the two may stand between the word and the number, and nothing that makes a name of the number.
const retryAfter =
  /\b(?:again|retry|later|wait|back)(?:,? (?:again|later|after|in|for|at least|about|another|within))*:? (\d{1,6}) ?(?:(s)(?:ec(?:ond)?s?)?|(m)(?:in(?:ute)?s?)?|(h)(?:(?:ou)?rs?)?)(?![.-]?\w)/i;

/** The wait a temporary refusal asks for ("try again in 5 minutes", "retry after 300 seconds"), at most a day. */
export function readRetryAfter(reply: string): number | undefined {
  const [, count, seconds, minutes] = retryAfter.exec(reply) ?? [];
  if (count === undefined) return undefined;
  const unit = seconds ? unitsMs.s : minutes ? unitsMs.m : unitsMs.h;
  return Math.min(Number(count) * unit, maxWaitMs);
}
