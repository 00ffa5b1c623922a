/**
 * Measures each contender once per round, in turn, so that other work on the machine affects all of them alike.
 *
 * @returns each contender's measurements, in the order of the rounds.
 */
export async function interleave<Name extends string, Sample>(
  rounds: number,
  contenders: Record<Name, () => Promise<Sample>>,
): Promise<Record<Name, Sample[]>> {
  const names = Object.keys(contenders) as Name[];
  const samples = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, Sample[]>;
  for (let round = 1; round <= rounds; round++) {
    for (const name of names) {
      process.stdout.write(`  round ${round} of ${rounds}: ${name}\n`);
      samples[name].push(await contenders[name]());
    }
  }
  return samples;
}

/** The middle value, or the mean of the two middle values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.ceil((sorted.length - 1) / 2)]];
  if (low === undefined || high === undefined) throw new RangeError('nothing was measured');
  return (low + high) / 2;
}
