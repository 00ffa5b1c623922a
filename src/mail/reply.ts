const longestReply = 500;

/**
 * One line of at most 500 characters without control, format or bidi characters. The text comes from
 * a foreign server and ends up in the database, in logs and on terminals.
 */
export function cleanReply(text: string): string {
  // Cut first: a reply may be a megabyte long, and the rest is never shown.
  const line = text
    .slice(0, 4 * longestReply)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  return line.length <= longestReply ? line : `${line.slice(0, longestReply - 1).toWellFormed()}…`;
}

const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000 };
const longestWaitMs = 24 * unitsMs.h;

/** The wait a temporary refusal asks for ("try again in 5 minutes", "retry after 300 seconds"), at most a day. */
export function readRetryAfter(reply: string): number | undefined {
  const found =
    /\b(?:again|retry|later|wait)\b[^0-9.;]{0,30}?\b(\d{1,6}) ?(s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|(?:ou)?rs?)?\b/i.exec(
      reply,
    );
  if (!found?.[1] || !found[2]) return undefined;
  const unit = unitsMs[found[2].toLowerCase() as keyof typeof unitsMs];
  return Math.min(Number(found[1]) * unit, longestWaitMs);
}
