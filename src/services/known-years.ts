/**
 * Whether a moment lies in years that every part of this program can write: the clocks of ids begin with 1970, and a
 * year of more than four digits PostgreSQL does not read as JavaScript writes it.
 */
export function isInKnownYears(at: Date): boolean {
  const year = at.getUTCFullYear();
  return year >= 1970 && year <= 9999;
}
