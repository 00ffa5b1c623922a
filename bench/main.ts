/**
 * `npm run bench [part…]`: measures the program against what it is to be compared with, on this machine and in this
 * run, prints the tables and writes them into `bench/results.md`. Exits 1 where a bar is missed.
 */

import { styleText } from 'node:util';
import { openMachine } from './support/machine.ts';
import { type Part, printResult, writeResult } from './support/report.ts';

/** Loaded when it is its turn: a part may need what another does not. */
const parts: Record<string, () => Promise<Part>> = {
  accept: async () => (await import('./accept.ts')).accept,
  deliver: async () => (await import('./deliver.ts')).deliver,
  cli: async () => (await import('./cli.ts')).cli,
  list: async () => (await import('./list.ts')).list,
  memory: async () => (await import('./memory.ts')).memory,
  profile: async () => (await import('./profile.ts')).profile,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(parts, name));
if (unknown.length > 0) {
  console.error(`there is no part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}

let missed = 0;
for (const name of asked.length > 0 ? asked : Object.keys(parts)) {
  console.log(styleText('bold', `\n${name}`));
  const part = (await parts[name]?.()) as Part;
  // A machine of its own for each part, so that none finds what another left behind.
  await using machine = await openMachine();
  const result = await part.run(machine);
  printResult(result);
  writeResult(name, part.about, result, machine.describes);
  missed += result.bars.filter((bar) => !bar.met).length;
}
process.exitCode = missed > 0 ? 1 : 0;
