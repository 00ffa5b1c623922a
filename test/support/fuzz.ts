/** Parameters for `fc.assert`: `FUZZ_SEED` repeats a run, `FUZZ_RUNS` makes it longer. */
export function fuzzRuns(defaultRuns: number): { seed: number; numRuns: number } {
  const seed = wholeNumber('FUZZ_SEED') ?? Math.floor(Math.random() * 2 ** 31);
  console.log(`    FUZZ_SEED=${seed}`);
  return { seed, numRuns: wholeNumber('FUZZ_RUNS') ?? defaultRuns };
}

/** Anything else would be no run at all, which passes. */
function wholeNumber(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw new Error(`${name} is a whole number, not "${text}"`);
  return Number(text);
}
