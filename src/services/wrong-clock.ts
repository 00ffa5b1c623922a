/**
 * The SQL of whether a time that is past was written while the database's clock was ahead, and the clock was put right
 * since: until it comes, for a year perhaps, everything that waits for so long since then would stand still.
 */
export function isAhead(time: string): string {
  return `${time} > now() + interval '1 hour'`;
}
