/**
 * `npm run bench [part…]` measures the program and what it is compared with, in one run on this machine.
 * `npm run bench against <commit>` compares it with another commit of this repository.
 * Both print tables, write them to `bench/results.md`, and exit with code 1 if a bar is missed.
 */

import { styleText } from 'node:util';
import { openMachine } from './support/machine.ts';
import { type Part, printResult, writeResult } from './support/report.ts';

/** Loaded one by one: a part may need packages or programs that another does not. */
const parts: Record<string, () => Promise<Part>> = {
  accept: async () => (await import('./accept.ts')).accept,
  deliver: async () => (await import('./deliver.ts')).deliver,
  hooks: async () => (await import('./hooks.ts')).hooks,
  cli: async () => (await import('./cli.ts')).cli,
  list: async () => (await import('./list.ts')).list,
  find: async () => (await import('./find.ts')).find,
  memory: async () => (await import('./memory.ts')).memory,
  profile: async () => (await import('./profile.ts')).profile,
  against: async () => (await import('./against.ts')).against,
};

const all = Object.keys(parts).filter((name) => name !== 'against');
const [first, ...others] = process.argv.slice(2);
const commit = first === 'against' ? others.shift() : undefined;
const asked = first === undefined ? all : [first, ...others];
const unknown = asked.filter((name) => !Object.hasOwn(parts, name));
if (unknown.length > 0) {
  console.error(`Unknown part: ${unknown.join(', ')}. Use ${all.join(', ')} or "against <commit>".`);
  process.exit(2);
}

let missed = 0;
for (const name of asked) {
  console.log(styleText('bold', `\n${name}`));
  const part = (await parts[name]?.()) as Part;
  // A new PostgreSQL server and folder for each part, so that none finds another part's data.
  await using machine = await openMachine();
  const result = await part.run(machine, commit);
  printResult(result);
  writeResult(name, part.about, result, machine.describes);
  missed += result.bars.filter((bar) => !bar.met).length;
}
process.exitCode = missed > 0 ? 1 : 0;
