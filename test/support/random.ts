/** Mulberry32: small, seeded, and good enough to pick random moments. */
export function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `CHAOS_SEED` repeats a run; it is printed. */
export function chaosSeed(): number {
  return wholeNumber('CHAOS_SEED') ?? Math.floor(Math.random() * 2 ** 31);
}

/** An environment variable. With anything else than a number, a test would make no run at all, and pass. */
export function wholeNumber(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw new Error(`${name} is a whole number, not "${text}"`);
  return Number(text);
}
