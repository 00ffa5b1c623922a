import type { EncryptionStatus, KeyState, KeyView } from '../../../services/encryption/encryption-status.ts';
import type { Rotated } from '../../../services/encryption/rotate-keys.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { openDatabase, requireSchema } from '../../session/open-context.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import type { Output } from '../../terminal/output.ts';
import { showProgress } from '../../terminal/progress.ts';
import { addNewKey } from './new-key.ts';

export function addEncryptionCommands(program: CliCommand): void {
  const encryption = program
    .command('encryption')
    .description("The keys that encrypt visitors' data: which data needs which key, and how to change keys");

  encryption
    .command('status')
    .description('Count what is encrypted with each key, and name missing keys; exits 4 on any problem')
    .jsonOption()
    .examples(
      'ruffinweb encryption status',
      `ruffinweb encryption status --json | jq -r '.keys[] | select(.state == "missing") | .id'`,
    )
    .run(showStatus);

  addNewKey(encryption);

  encryption
    .command('rotate')
    .description('Encrypt everything with the first key of ENCRYPTION_KEYS; can be stopped and run again at any time')
    .option('--yes', 'do not ask whether all were restarted, and go on if that key is older than another one')
    .jsonOption()
    .examples('ruffinweb encryption rotate', 'ruffinweb encryption rotate --yes --json')
    .run(rotate);
}

async function showStatus({ deps, output }: Call): Promise<void> {
  // Works without keys and with wrong ones, since it has to explain why nothing else starts.
  await using base = await openDatabase(deps, { embedded: 'join-or-start', waiting: 'operator' });
  const [{ findKeys }, { readEncryptionStatus, sum }] = await Promise.all([
    import('../../../context.ts'),
    import('../../../services/encryption/encryption-status.ts'),
    requireSchema(base),
  ]);
  const status = await readEncryptionStatus(base.orm.em.fork(), findKeys(base.config) ?? []);
  const damaged = sum(status.damaged);
  output.printResult(status, () => printStatus(output, status, damaged));
  const isBad = damaged > 0 || status.keys.some((it) => it.state === 'missing' || it.state === 'wrong');
  if (isBad) deps.setExitCode(exitCode.unhealthy);
}

async function rotate({ deps, options, output }: Call): Promise<void> {
  const load = () => import('../../../services/encryption/rotate-keys.ts');
  await runInScope(deps, load, async (scope, { countToRotate, rotateKeys }) => {
    const evenOlder = options.yes ?? false;
    const count = await countToRotate(scope, { evenOlder });
    const { newestId, ids } = scope.keyring;
    // We cannot see it (decision 64), and a program that still encrypts with an old key would need that key for ever.
    if (ids.length > 1)
      await confirmOrRefuse(deps, options, `Were all servers and workers restarted with ${newestId} as the first key?`);
    const stop = deps.stopGently();
    using progress = showProgress(deps, options, count, 'rows encrypted again');
    const rotated = await rotateKeys(scope, { evenOlder, stop, onProgress: progress.report });
    progress.clear();
    output.printResult(rotated, () => printRotated(output, rotated));
    if (rotated.interrupted) deps.setExitCode(exitCode.interrupted);
    else if (rotated.unopened.count > 0 || rotated.others.some((it) => it.needed)) deps.setExitCode(exitCode.refused);
  });
}

const stateWords: Readonly<Record<KeyState, string>> = {
  seals: 'encrypts',
  opens: 'decrypts',
  missing: 'MISSING',
  wrong: 'WRONG KEY',
};

const beforeRemoval = `Before you remove an old key from ENCRYPTION_KEYS: restart every server and worker with the new key first, then run
"ruffinweb encryption rotate" once more. Keep a copy of the old key as long as you keep backups from before.`;

const afterRotation = `Done. Was every server and worker restarted since the new key came first? Then you may remove the unused keys from
ENCRYPTION_KEYS. Keep a copy of them as long as you keep backups from before.`;

function printStatus(output: Output, { keys }: EncryptionStatus, damaged: number): void {
  const { style } = output;
  if (keys.length === 0) {
    output.note('No key yet: the first start creates one.');
    return;
  }
  const time = (at: string | null) => (at === null ? '' : output.time(at));
  const number = (header: string, count: (it: KeyView) => number) => ({
    header,
    align: 'right' as const,
    text: (it: KeyView) => count(it).toLocaleString('en'),
  });
  output.printTable(keys, [
    { header: 'KEY', text: (it) => it.id },
    {
      header: 'STATE',
      text: ({ state }) => stateWords[state],
      style: (text, { state }) => (state === 'seals' ? style.good(text) : state === 'opens' ? text : style.bad(text)),
    },
    number('SENDERS', (it) => it.rows.senders),
    number('MESSAGES', (it) => it.rows.messages),
    { ...number('REPLIES', (it) => it.rows.emails), omit: 4 },
    number('ATTEMPTS', (it) => it.rows.attempts),
    { ...number('HOOKS', (it) => it.rows.hooks + it.rows.hook_attempts), omit: 5 },
    { ...number('PAUSE', (it) => it.rows.mail_queue), omit: 3 },
    { header: 'LAST ROW', text: (it) => time(it.newestRowAt) },
    { header: 'ADDED', text: (it) => time(it.addedAt), omit: 2 },
  ]);
  for (const line of adviceOn(keys)) output.note(`\n${line}`);
  if (damaged > 0)
    output.warn(`\n${damaged} rows have a value that is not encrypted text: it was damaged or overwritten.`);
}

function adviceOn(keys: readonly KeyView[]): string[] {
  const advice: string[] = [];
  const idsOf = (isMeant: (key: KeyView) => boolean) =>
    keys
      .filter(isMeant)
      .map((it) => it.id)
      .join(', ');
  const missing = idsOf((it) => it.state === 'missing');
  const wrong = idsOf((it) => it.state === 'wrong');
  const unneeded = idsOf((it) => it.state === 'opens' && it.total === 0);
  if (missing)
    advice.push(`Put back into ENCRYPTION_KEYS: ${missing}. Data encrypted with it cannot be read without it.`);
  if (wrong) advice.push(`The database knows another key by this name: ${wrong}. Put the right one back.`);
  if (keys.some((it) => it.state === 'opens' && it.total > 0)) {
    advice.push(`To encrypt everything with the first key: ruffinweb encryption rotate\n${beforeRemoval}`);
  } else if (unneeded) {
    advice.push(`No row needs ${unneeded}. ${beforeRemoval}`);
  }
  return advice;
}

function printRotated(output: Output, { key, resealed, interrupted, unopened, others }: Rotated): void {
  const { style } = output;
  const rows = `${resealed.toLocaleString('en')} ${resealed === 1 ? 'row' : 'rows'}`;
  output.print(`${rows} encrypted again with ${key}`);
  if (interrupted) {
    output.note('Stopped before the end. Run it again to continue.');
    return;
  }
  for (const { id, needed, reason } of others) {
    if (needed) output.print(`${style.warning('keep')}    ${id}: ${reason}`);
    else output.print(`${style.good('unused')}  ${id}: no row needs it`);
  }
  const isDone = resealed === 0 && unopened.count === 0 && others.every((it) => !it.needed);
  if (others.length === 0) output.note('\nFor a new key: ruffinweb encryption new-key');
  else output.note(`\n${isDone ? afterRotation : beforeRemoval}`);
  if (unopened.count === 0) return;
  output.warn(`\n${unopened.count} rows were left unchanged, since a value in them cannot be decrypted:`);
  for (const { table, id } of unopened.first) output.warn(`  ${table} ${id}`);
  if (unopened.count > unopened.first.length) output.warn(`  and ${unopened.count - unopened.first.length} more`);
}
