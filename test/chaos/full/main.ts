import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildProgram } from '../../support/built-program.ts';
import { MachinePostgres } from '../../support/machine-postgres.ts';
import { alarmDrill } from './alarm-drill.ts';
import type { Fault, Row } from './fault.ts';
import { faults } from './faults/index.ts';
import { type Result, reportOf } from './report.ts';

/**
 * Runs every fault, one after another, and beside them the drill of the alarm; then writes `docs/reliability.md`.
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
const only = values.only?.split(',');
const wanted = faults.filter((it) => only === undefined || only.includes(it.id));
if (wanted.length === 0) throw new Error(`--only knows ${faults.map((it) => it.id).join(', ')}`);
console.log(`seed ${seed}`);

await buildProgram();
const start = performance.now();
const drill = only === undefined ? alarmDrill({ seed, note: (text) => console.log(`alarm: ${text}`) }) : [];
await using postgres = await MachinePostgres.open('');
const results: Result[] = [];
for (const fault of wanted) results.push(await runFault(fault));

if (only === undefined && !values.short) {
  const run = { seed, postgres: await postgres.version(), results, drill: await drill };
  const minutes = (performance.now() - start) / 60_000;
  writeFileSync(join(tmpdir(), 'reliability.json'), JSON.stringify({ ...run, minutes }, undefined, 2));
  writeFileSync('docs/reliability.md', reportOf({ ...run, minutes }));
}
const broken = results.filter((it) => it.violations.length > 0);
console.log(`${results.length - broken.length} passed, ${broken.length} failed: ${broken.map((it) => it.id)}`);
process.exitCode = broken.length > 0 ? 1 : 0;

/** A fault that could not be brought about is a failed row, so that the others still run. */
async function runFault(fault: Fault): Promise<Result> {
  const begun = performance.now();
  const row = await fault.run({ postgres, seed, isShort: values.short ?? false }).catch(failedRow);
  const { violations, ...rest } = row;
  const seconds = Math.round((performance.now() - begun) / 1000);
  console.log(`${fault.id}: ${JSON.stringify({ seconds, ...rest })}`);
  for (const it of violations.slice(0, 20)) console.log(`  ${it.invariant}: ${it.what}`);
  return { id: fault.id, title: fault.title, seconds, ...row };
}

function failedRow(error: Error): Row {
  const violations = [{ invariant: 'no crash', what: `the fault ended early: ${error.stack}` }] as const;
  const none = { cycles: 0, acknowledged: 0, lost: 0, duplicated: 0, uncertain: 0 };
  return { ...none, recovery: undefined, noticed: undefined, violations: [...violations] };
}
