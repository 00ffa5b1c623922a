import { globSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Stryker } from '@stryker-mutator/core';
import { startTestServer } from '../support/database.ts';
import { areas, type Part } from './areas.ts';
import { testFiles } from './mocha-runner.ts';
import { judge, readEquivalents, resultsOf } from './results.ts';
import { writeRow } from './table.ts';

// `npm run test:mutation [-- AREA [FILE]]`: all areas, one, or some files of one, which leaves the table as it is.
const [wanted = Object.keys(areas).join(), files] = process.argv.slice(2);
const names = wanted.split(',');
const refusal = refuse();
if (refusal !== undefined) {
  console.error(`${refusal}\nUsage: npm run test:mutation [-- AREA[,AREA] | -- AREA FILE[,FILE]]`);
  process.exit(2);
}
process.env.TZ = 'UTC';
const stop = await startTestServer();
try {
  for (const name of names) await run(name, areas[name] ?? []);
} finally {
  await stop();
}

/** Says what makes no sense: a run of an hour must not end in it, and one of nothing must not look like a good one. */
function refuse(): string | undefined {
  const area = names.find((it) => !Object.hasOwn(areas, it));
  if (area !== undefined) return `There is no area "${area}", but ${Object.keys(areas).join(', ')}`;
  const known = names.flatMap((name) => (areas[name] ?? []).flatMap(filesOf));
  const file = files?.split(',').find((it) => !known.includes(it));
  return file === undefined ? undefined : `${wanted} has no file "${file}", but\n${known.toSorted().join('\n')}`;
}

function filesOf({ mutate, except }: Part): string[] {
  return globSync(mutate, { exclude: except === undefined ? [] : [except] });
}

async function run(name: string, parts: readonly Part[]): Promise<void> {
  const since = performance.now();
  const results = [];
  for (const part of parts) {
    const chosen = filesOf(part).filter((it) => files === undefined || files.split(',').includes(it));
    if (chosen.length > 0) results.push(...resultsOf(await runStryker(chosen, part.tests)));
  }
  const judged = judge(results, readEquivalents());
  for (const { file, at, line, from, to, status } of judged.survivors) {
    console.log(`\n${status} ${file}:${at}\n  ${JSON.stringify({ line, from, to })}`);
  }
  for (const it of judged.stale)
    console.log(`\nno such survivor, remove it from equivalent.json:\n  ${JSON.stringify(it)}`);
  if (files === undefined) writeRow(name, results, judged);
  const counts = Object.entries(Object.groupBy(results, (it) => it.status)).map(([it, all]) => `${all?.length} ${it}`);
  const seconds = Math.round((performance.now() - since) / 1000);
  console.log(
    `\n${name}: ${results.length} mutants, ${counts.join(', ')}, ${judged.equivalent.length} equivalent, ${seconds} s`,
  );
  if (judged.survivors.length + judged.stale.length > 0) process.exitCode = 1;
}

async function runStryker(mutate: string[], tests: readonly string[]) {
  process.env[testFiles] = tests.join(' ');
  const folder = await mkdtemp(join(tmpdir(), 'ruffinweb-mutation-'));
  try {
    return await new Stryker({
      plugins: [fileURLToPath(new URL('mocha-runner.ts', import.meta.url))],
      testRunner: 'mocha',
      coverageAnalysis: 'perTest',
      mutate,
      // An emptied text is either SQL, which always fails, or words for people, which are no behaviour.
      mutator: { excludedMutations: ['StringLiteral'], plugins: null },
      disableTypeChecks: false,
      ignorePatterns: ['/*', '!/src', '!/test', '!/package.json', '!/forms.yaml'],
      tempDirName: folder,
      concurrency: 1,
      timeoutMS: 8_000,
      timeoutFactor: 1.5,
      reporters: ['progress-append-only'],
      allowConsoleColors: false,
    }).runMutationTest();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
