import type { Command } from 'commander';
import type { EncryptionStatus, KeyState, KeyView } from '../../services/encryption/encryption-status.ts';
import type { Rotated } from '../../services/encryption/rotate-keys.ts';
import { exitCode } from '../session/exit-codes.ts';
import { openDatabase, requireSchema } from '../session/open-context.ts';
import { addExamples, optionsOf } from '../session/options.ts';
import { runInScope } from '../session/run-in-scope.ts';
import type { Deps } from '../terminal/deps.ts';
import { type DataOptions, Output } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';

export function addEncryptionCommands(program: Command, deps: Deps): void {
  const encryption = program
    .command('encryption')
    .description('The keys that seal what visitors give: what needs which, and a change of keys');

  const status = encryption
    .command('status')
    .description('Count what is sealed with each key, and name keys that are missing; exits 4 when one is')
    .option('--json', 'print JSON')
    .option('--utc', 'print exact times')
    .action(async (_options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      // Works without keys, and with wrong ones, with which no server starts: it is what tells why the others do not.
      await using base = await openDatabase(deps, { embedded: 'join-or-start', waiting: 'operator' });
      const [{ findKeys }, { readEncryptionStatus, sum }] = await Promise.all([
        import('../../context.ts'),
        import('../../services/encryption/encryption-status.ts'),
        requireSchema(base),
      ]);
      const found = await readEncryptionStatus(base.orm.em.fork(), findKeys(base.config) ?? []);
      const damaged = sum(found.damaged);
      if (options.json) output.printJson(found);
      else printStatus(output, found, damaged);
      const bad = damaged > 0 || found.keys.some((it) => it.state === 'missing' || it.state === 'wrong');
      if (bad) deps.setExitCode(exitCode.unhealthy);
    });
  addExamples(status, [
    'ruffinweb encryption status',
    `ruffinweb encryption status --json | jq -r '.keys[] | select(.state == "missing") | .id'`,
  ]);

  const rotate = encryption
    .command('rotate')
    .description('Seal everything with the first key of ENCRYPTION_KEYS; may be stopped, and run again, at any time')
    .option('--yes', 'also where that key is older than another one')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf<DataOptions & { yes?: boolean }>(command);
      const output = new Output(deps, options);
      const stop = deps.stopGently();
      const load = () => import('../../services/encryption/rotate-keys.ts');
      await runInScope(deps, load, async (scope, { countToRotate, rotateKeys }) => {
        const evenOlder = options.yes ?? false;
        using progress = showProgress(deps, options, await countToRotate(scope, { evenOlder }), 'rows encrypted again');
        const rotated = await rotateKeys(scope, { evenOlder, stop, onProgress: progress.report });
        progress[Symbol.dispose]();
        if (options.json) output.printJson(rotated);
        else printRotated(output, rotated);
        if (rotated.interrupted) deps.setExitCode(exitCode.interrupted);
        else if (rotated.unopened.count > 0 || rotated.others.some((it) => it.needed))
          deps.setExitCode(exitCode.refused);
      });
    });
  addExamples(rotate, ['ruffinweb encryption rotate', 'ruffinweb encryption rotate --json']);
}

const stateWords: Readonly<Record<KeyState, string>> = {
  seals: 'seals',
  opens: 'opens',
  missing: 'MISSING',
  wrong: 'WRONG KEY',
};

const beforeRemoval = `Before you remove an old key from ENCRYPTION_KEYS: restart every server and worker with the new key first, then run
"ruffinweb encryption rotate" once more. Keep a copy of the old key as long as you keep backups from before.`;

function printStatus(output: Output, { keys }: EncryptionStatus, damaged: number): void {
  const { style } = output;
  if (keys.length === 0) {
    output.note('No key yet: the first start makes one.');
    return;
  }
  const paint = {
    seals: style.good,
    opens: (it: string) => it,
    missing: style.bad,
    wrong: style.bad,
  };
  const time = (at: string | null) => (at === null ? '' : output.time(at));
  const number = (header: string, count: (it: KeyView) => number) => ({
    header,
    align: 'right' as const,
    text: (it: KeyView) => count(it).toLocaleString('en'),
  });
  output.printTable(keys, [
    { header: 'KEY', text: (it) => it.id },
    { header: 'STATE', text: (it) => stateWords[it.state], style: (text, it) => paint[it.state](text) },
    number('SENDERS', (it) => it.rows.senders),
    number('MESSAGES', (it) => it.rows.messages),
    number('ATTEMPTS', (it) => it.rows.attempts),
    { ...number('PAUSE', (it) => it.rows.mail_queue), omit: 3 },
    { header: 'LAST ROW', text: (it) => time(it.newestRowAt) },
    { header: 'ADDED', text: (it) => time(it.addedAt), omit: 2 },
  ]);
  for (const line of adviceOn(keys)) output.note(`\n${line}`);
  if (damaged > 0)
    output.warn(`\n${damaged} rows hold a value that is not a sealed one: it was damaged or overwritten.`);
}

function adviceOn(keys: readonly KeyView[]): string[] {
  const advice: string[] = [];
  const named = (some: readonly KeyView[]) => some.map((it) => it.id).join(', ');
  const missing = keys.filter((it) => it.state === 'missing');
  const wrong = keys.filter((it) => it.state === 'wrong');
  const unneeded = keys.filter((it) => it.state === 'opens' && it.total === 0);
  if (missing.length > 0)
    advice.push(`Put back into ENCRYPTION_KEYS: ${named(missing)}. What it sealed stays shut without it.`);
  if (wrong.length > 0)
    advice.push(`Another key had this name when the database was written: ${named(wrong)}. Put the right one back.`);
  if (keys.some((it) => it.state === 'opens' && it.total > 0)) {
    advice.push(`To encrypt everything with the first key: ruffinweb encryption rotate\n${beforeRemoval}`);
  } else if (unneeded.length > 0) {
    advice.push(`No row needs ${named(unneeded)}. ${beforeRemoval}`);
  }
  return advice;
}

function printRotated(output: Output, { key, resealed, interrupted, unopened, others }: Rotated): void {
  const { style } = output;
  const rows = `${resealed.toLocaleString('en')} ${resealed === 1 ? 'row' : 'rows'}`;
  output.print(`${rows} encrypted again with ${key}`);
  if (interrupted) {
    output.note('Stopped before the end; what was done stays done. Run it again to go on.');
    return;
  }
  for (const { id, needed, reason } of others) {
    if (needed) output.print(`${style.warning('keep')}    ${id}: ${reason}`);
    else output.print(`${style.good('unused')}  ${id}: no row needs it`);
  }
  if (others.length > 0) output.note(`\n${beforeRemoval}`);
  if (unopened.count === 0) return;
  output.warn(`\n${unopened.count} rows were left as they are, since a value in them does not open:`);
  for (const { table, id } of unopened.first) output.warn(`  ${table} ${id}`);
  if (unopened.count > unopened.first.length) output.warn(`  and ${unopened.count - unopened.first.length} more`);
}
