import { parseArgs } from 'node:util';
import { buildProgram } from '../../support/built-program.ts';
import { MachinePostgres } from '../../support/machine-postgres.ts';
import type { Row } from './fault.ts';
import { faults } from './faults/index.ts';

/**
 * Runs every fault, one after another, and writes `docs/reliability.md`.
 *
 * `--seed 7`: the same choices as that run. `--only killed-server`: a part of the faults, for which nothing is written.
 */
const { values } = parseArgs({
  options: {
    full: { type: 'boolean' },
    short: { type: 'boolean' },
    seed: { type: 'string' },
    only: { type: 'string' },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const wanted = faults.filter((it) => values.only === undefined || values.only.split(',').includes(it.id));
console.log(`seed ${seed}`);

await buildProgram();
await using postgres = await MachinePostgres.open('');
const rows: (Row & { title: string; seconds: number })[] = [];
for (const fault of wanted) {
  const start = performance.now();
  const row = await fault.run({ postgres, seed, isShort: values.short ?? false });
  const seconds = Math.round((performance.now() - start) / 1000);
  rows.push({ title: fault.title, seconds, ...row });
  console.log(`${fault.id}: ${JSON.stringify({ seconds, ...row, violations: row.violations.slice(0, 5) })}`);
}
process.exitCode = rows.some((it) => it.violations.length > 0) ? 1 : 0;
