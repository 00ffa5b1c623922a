/** Whether it is a name of a time zone, such as `Europe/Berlin`. */
export function isTimeZone(name: string): boolean {
  try {
    return Intl.DateTimeFormat('en', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}

/**
 * Writes times for people, as in `22 November 2026 at 08:33 CET`. The month is a word, since 01/02 is January or February
 * depending on the reader.
 *
 * @param timeZone must exist. Its short name is a British reader's; a zone without one becomes `GMT-5`.
 */
export function timeWriter(timeZone: string): (at: Date) => string {
  const format = new Intl.DateTimeFormat('en-GB', {
    ...({ timeZone, day: 'numeric', month: 'long', year: 'numeric' } as const),
    ...({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZoneName: 'short' } as const),
  });
  return (at) => {
    // Not the text of `format`, whose commas change with Node's data.
    const part = Object.fromEntries(format.formatToParts(at).map((it) => [it.type, it.value]));
    return `${part.day} ${part.month} ${part.year} at ${part.hour}:${part.minute} ${part.timeZoneName}`;
  };
}
