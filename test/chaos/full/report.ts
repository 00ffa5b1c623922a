import { cpus, totalmem } from 'node:os';
import type { DrillRow } from './alarm/alarm-drill.ts';
import type { Row } from './fault.ts';

export interface Result extends Row {
  id: string;
  title: string;
  seconds: number;
}

export interface Run {
  seed: number;
  /** What `postgres --version` says. */
  postgres: string;
  minutes: number;
  results: readonly Result[];
  drill: readonly DrillRow[];
}

const sum = (results: readonly Result[], key: 'acknowledged' | 'lost' | 'duplicated' | 'uncertain' | 'cycles') =>
  results.reduce((total, it) => total + it[key], 0);
const count = (number: number) => number.toLocaleString('en');
const seconds = (number: number | undefined) => (number === undefined ? '–' : number.toFixed(1));
const cell = (text: string) => text.replaceAll('|', '\\|');

/** The page `docs/reliability.md`. */
export function reportOf({ seed, postgres, minutes, results, drill }: Run): string {
  const givenUp = results.reduce((total, it) => total + (it.givenUp ?? 0), 0);
  const violations = results.reduce((total, it) => total + it.violations.length, 0);
  const machine = `${cpus().length} cores of ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, ${postgres}`;
  return `# How it was broken, and what held

<!-- Written by \`npm run test:chaos -- --full\`: change test/chaos/full/report.ts. -->

Of **${count(sum(results, 'acknowledged'))} posts that were answered 201, ${count(sum(results, 'lost'))} were lost**, while the
program and everything around it were broken ${count(sum(results, 'cycles'))} times. ${count(sum(results, 'duplicated'))} mails or
hook deliveries arrived a second time; ${count(sum(results, 'uncertain'))} attempts are on record whose outcome nobody could know.
${count(givenUp)} auto-replies were given up after such an attempt, or as too late after a jump of clocks. Rules broken: ${count(violations)}.
One fault restores an old backup. Posts that came after it are gone with the database, and those of erased people are meant to be gone:
that fault counts neither, as answered or as lost.

Repeat it on any Linux machine with PostgreSQL's programs (${Math.ceil(minutes)} minutes here):

<!-- not run: takes 25 minutes; test/chaos/faults.test.ts runs the short form of some faults -->
\`\`\`sh
npm run test:chaos -- --full --seed ${seed}
npm run test:chaos -- --full --seed ${seed} --only killed-server
\`\`\`

Seed ${seed} makes the same choices again; how many faults fit into a time, and which post meets them, depends on the machine.
Here: ${machine}.
\`test/chaos/full/README.md\` says how to run one fault in a minute, and how to read the code.

## What is compared

Visitors post at a steady rate and write down each answer. The mail server and the receiver of hooks write down what they
take before they say so. PostgreSQL keeps what it commits (\`fsync\` is on). After each fault we do not wait for the next try of a mail
or hook delivery, if it is at most a day away, nor for the end of a killed worker's lease: both are made to come at once. When all
mail has left, these must agree:

- **No loss.** Each post answered 201 is stored once, under the id of the answer. A visitor without an answer, or
  with 409 or 5xx, tries again with the same \`Idempotency-Key\`.
- **No ghost.** Nothing is stored that nobody posted, or that was refused. No mail leaves without its row.
- **All or nothing.** Each message has its notification, and where its form wants them an auto-reply and a hook delivery.
- **At least once.** Each notification and hook delivery arrives.
- **Duplicates on record.** A second copy needs an attempt on record whose outcome nobody knows. It is the same to the byte
  (two releases may word it differently).
- **At most once.** No auto-reply arrives twice.
- **No refusal.** A post without a mistake is never answered 4xx.
- **Right content.** Stored is what was posted. Each mail and hook delivery names its own message and no other. Mail goes to the
  right person.
- **No crash.** A process ends only if it is killed or its heap is too small, and says 0 when it is asked to stop.
- **Silence.** No log (that of PostgreSQL included), no alert and no table contains a word of a visitor in clear.

These rules have tests of their own, in which a loss, a ghost, a duplicate and a leak are made up and found
(\`test/chaos/oracle.test.ts\`).

## What was broken

“Served” and “mail” are the longest times in seconds from the end of a fault until the next post was stored and the next mail taken,
the start of a killed process included. Mail that had waited since before counts too. For the old backup, “served” counts from the
loss of the database.

| fault | times | acknowledged | lost | copies too many | uncertain attempts | served (s) | mail (s) |
|---|---:|---:|---:|---:|---:|---:|---:|
${results.map(rowOf).join('\n')}

Who noticed while it lasted. Most faults are over before the alarm speaks, which waits until
something has lasted for 25 seconds; the next section gives it time:

| fault | \`/readyz\` | \`ruffinweb health\` | alarm |
|---|---|---|---|
${results.map(noticedOf).filter(Boolean).join('\n')}

${notesOf(results)}## The alarm, by the clock

Each was broken until a stand-in for [ntfy](how-to/ntfy.md) had heard of it (the mail server a minute longer), and then repaired. Visitors
posted once a second.

| broken | heard after (s) | “resolved” after (s) | acknowledged | lost |
|---|---:|---:|---:|---:|
${drill.map((it) => `| ${cell(it.fault)} | ${it.noticedAfterS?.toFixed(0) ?? 'never'} | ${it.recoveredAfterS?.toFixed(0) ?? 'never'} | ${count(it.posts.acknowledged)} | ${count(it.posts.lost)} |`).join('\n')}

## What this does not show

Posts of plain HTML forms, which are answered with a page: visitors here use the JSON API. A machine that loses its power: that
commits survive it is PostgreSQL's own promise, and that of the disk. Two machines with a network between them. A fault that lasts for days.
`;
}

function rowOf(it: Result): string {
  const { servedS, mailS } = it.recovery ?? {};
  const cells = [
    `${it.title} (\`${it.id}\`)`,
    count(it.cycles),
    count(it.acknowledged),
    count(it.lost),
    count(it.duplicated),
  ];
  return `| ${[...cells, count(it.uncertain), seconds(servedS), seconds(mailS)].map(cell).join(' | ')} |`;
}

function noticedOf({ id, noticed }: Result): string {
  return noticed ? `| ${[`\`${id}\``, noticed.readyz, noticed.health, noticed.alarm].map(cell).join(' | ')} |` : '';
}

function notesOf(results: readonly Result[]): string {
  const notes = results.flatMap(({ id, note, violations }) => {
    const broken = [...new Set(violations.map((it) => it.invariant))].join(', ');
    const all = [note, broken && `Rules broken: ${broken}.`].filter(Boolean);
    return all.length > 0 ? [`- \`${id}\`: ${all.join(' ')}`] : [];
  });
  return notes.length === 0 ? '' : `Notes:\n\n${notes.join('\n')}\n\n`;
}
