import { wholeNumber } from './random.ts';

/** Parameters for `fc.assert`: `FUZZ_SEED` repeats a run, `FUZZ_RUNS` makes it longer. */
export function fuzzRuns(defaultRuns: number): { seed: number; numRuns: number } {
  const seed = wholeNumber('FUZZ_SEED') ?? Math.floor(Math.random() * 2 ** 31);
  console.log(`    FUZZ_SEED=${seed}`);
  return { seed, numRuns: wholeNumber('FUZZ_RUNS') ?? defaultRuns };
}
