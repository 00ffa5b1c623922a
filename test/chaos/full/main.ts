import { mkdirSync, writeFileSync } from 'node:fs';
import { buildProgram } from '../../support/built-program.ts';
import { MachinePostgres } from '../../support/machine-postgres.ts';
import { alarmDrill, type DrillRow } from './alarm/alarm-drill.ts';
import type { Fault, Row } from './fault.ts';
import { faults } from './faults/index.ts';
import { OptionError, type Options, readOptions } from './options.ts';
import { type Result, reportOf } from './report.ts';

/**
 * Runs every fault, and beside them the drill of the alarm; then writes `docs/reliability.md`.
 *
 * `--seed 7`: the same choices as that run. `--only killed-server,alarm`: a part of them; `--short`: fewer cycles of each.
 * With either of the last two, no page is written.
 */
const { seed, only, isShort } = options();
const isWhole = only === undefined && !isShort;
console.log(`seed ${seed}`);

await buildProgram();
const start = performance.now();
const drill = isWhole || only?.includes('alarm') ? runDrill() : undefined;
const results = await runAll(faults.filter((it) => only?.includes(it.id) ?? true));
const failed = results.filter((it) => it.violations.length > 0).map((it) => it.id);

const rows = (await drill) ?? [];
const isHeard = (it: DrillRow) => it.noticedAfterS !== undefined && it.recoveredAfterS !== undefined;
if (drill && (rows.length === 0 || !rows.every((it) => isHeard(it) && it.posts.lost === 0))) failed.push('alarm');
if (isWhole) {
  const run = { seed, postgres: await MachinePostgres.version(), results, drill: rows };
  const minutes = (performance.now() - start) / 60_000;
  // For another look at the numbers, which need 25 minutes.
  mkdirSync('node_modules/.cache', { recursive: true });
  writeFileSync('node_modules/.cache/reliability.json', JSON.stringify({ ...run, minutes }, undefined, 2));
  writeFileSync('docs/reliability.md', reportOf({ ...run, minutes }));
}
console.log(`faults: ${results.length}${drill ? ' and the alarm' : ''}, failed: ${failed.join(', ') || 'none'}`);
console.log(
  isWhole ? 'docs/reliability.md is written' : 'docs/reliability.md is left as it was: only a whole run writes it',
);
process.exitCode = failed.length > 0 ? 1 : 0;

function options(): Options {
  try {
    return readOptions(process.argv.slice(2), [...faults.map((it) => it.id), 'alarm']);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    console.error(
      `${error.message}\nUsage: npm run test:chaos -- --full [--short] [--seed 7] [--only killed-server,soak]`,
    );
    process.exit(2);
  }
}

/** One that ends early has no rows, so that the faults beside it still run. */
async function runDrill(): Promise<DrillRow[]> {
  const note = (text: string) => console.log(`alarm: ${text}`);
  return await alarmDrill({ seed, note }).catch((error: Error) => {
    note(`ended early: ${error.stack}`);
    return [];
  });
}

/** Two at a time, each on a PostgreSQL of its own: most of them wait. Backwards, since the soak at the end finds most. */
async function runAll(wanted: readonly Fault[]): Promise<Result[]> {
  const left = [...wanted];
  const done: Result[] = [];
  const lane = async () => {
    await using postgres = await MachinePostgres.open('');
    for (let fault = left.pop(); fault; fault = left.pop()) done.push(await runFault(fault, postgres));
  };
  await Promise.all([lane(), lane()]);
  return wanted.flatMap((fault) => done.filter((it) => it.id === fault.id));
}

/** A fault that could not be brought about is a failed row, so that the others still run. */
async function runFault(fault: Fault, postgres: MachinePostgres): Promise<Result> {
  const begun = performance.now();
  const row = await fault.run({ postgres, seed, isShort }).catch(async (error: Error) => {
    // It may have left the database frozen or stopped.
    await postgres.signal('SIGCONT').catch(() => {});
    await postgres.start().catch(() => {});
    return failedRow(error);
  });
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
