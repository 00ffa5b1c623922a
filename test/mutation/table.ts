import { readFileSync, writeFileSync } from 'node:fs';
import type { Judged, Result } from './results.ts';

const path = new URL('../../docs/reference/mutation.md', import.meta.url);

const head = `# Whether tests notice a change

<!-- Written by \`npm run test:mutation\`: change it there. -->

Each mutant is one small change to the code: a condition that is always true, a call left out, \`<\` for \`<=\`. A test must fail for it
(*killed*, or *timed out* if the change never ends), or the mutant is *equivalent*: it behaves like the program. Those are
listed with reasons in \`test/mutation/equivalent.json\`. The score is the share of noticed mutants. [How it is measured](../decisions/0112-mutants.md).

\`npm run test:mutation\` measures every area, in up to an hour, \`npm run test:mutation -- classify\` one, in half a minute. It prints each
survivor, and exits with 1 if there is one.

| area | mutants | killed | timed out | equivalent | survived | score |
|---|---|---|---|---|---|---|
`;

/** Writes the line of one area, and keeps the others. */
export function writeRow(area: string, results: readonly Result[], judged: Judged): void {
  const count = (status: Result['status']) => results.filter((it) => it.status === status).length;
  const [killed, timedOut] = [count('killed'), count('timed out')];
  const score = ((100 * (killed + timedOut)) / results.length).toFixed(1);
  const cells = [results.length, killed, timedOut, judged.equivalent.length, judged.survivors.length, `${score} %`];
  const rows = readRows();
  rows.set(area, `| ${[area, ...cells].join(' | ')} |`);
  const sorted = [...rows].toSorted().map(([, row]) => `${row}\n`);
  writeFileSync(path, head + sorted.join(''));
}

function readRows(): Map<string, string> {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // The first run.
  }
  return new Map([...text.matchAll(/^\| (\w+) \| \d.*$/gm)].map(([row, area = '']) => [area, row]));
}
