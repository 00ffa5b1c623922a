import { formatMailbox } from '../../../address.ts';
import { Problem } from '../../../problems.ts';
import type { Scope } from '../../../services/scope.ts';
import type { Erased } from '../../../services/senders/erase-sender.ts';
import { readTextFile, TextFileFault } from '../../../text-file.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { setExitCode } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse, Refusal } from '../../terminal/confirm.ts';
import { type Output, plural } from '../../terminal/output.ts';
import { safeJson, showSafe } from '../../terminal/safe-text.ts';
import { writePieces } from '../../terminal/write-pieces.ts';
import { addWhich, type WhichOptions, whichOf } from './which.ts';

/** What people may demand about their data (GDPR), and the record of erasures. */
export function addSenderRights(senders: CliCommand): void {
  addWhich(senders.command('export'))
    .description('Print everything stored about one address as one JSON object, even if the sender is gone')
    .option('--json', 'print JSON, which is the default')
    .examples(
      'ruffinweb senders export ada@example.com > ada.json',
      `ruffinweb senders export ada@example.com | jq '.messages[].receivedAt'`,
    )
    .run(exportSender);

  addWhich(senders.command('erase'))
    .description('Delete a sender for good, with all messages, emails and attempts')
    .option('--replay <file>', 'after restoring a backup: erase again everybody in this erasure log')
    .option('--yes', 'do not ask')
    .jsonOption()
    .examples(
      'ruffinweb senders erase ada@example.com',
      'ruffinweb senders erase --replay /safe/place/erasures.jsonl --yes',
    )
    .run(eraseSender);

  senders
    .command('erasures')
    .description('Print the erasure log: a keyed hash and a time for each erased sender, one JSON object a line')
    .option('--json', 'print JSON, which is the default')
    .examples('ruffinweb senders erasures >> /safe/place/erasures.jsonl', 'ruffinweb senders erasures | wc -l')
    .run(printErasures);
}

async function exportSender({ deps, options, output }: Call<WhichOptions>, name?: string): Promise<void> {
  const which = whichOf(name, options);
  const stop = deps.stopGently();
  const load = () => import('../../../services/senders/export-sender.ts');
  await runInScope(deps, load, async (scope, { exportSender, jsonPieces }) => {
    const everything = await exportSender(scope, await which(scope));
    const pieces = jsonPieces(everything, (value) => safeJson(value, { oneLine: true }));
    await writePieces(deps, pieces, stop);
  });
  if (stop.aborted) output.warn('Stopped: the export is not complete.');
  setExitCode(deps, stop);
}

interface EraseOptions extends WhichOptions {
  replay?: string;
}

async function eraseSender(call: Call<EraseOptions>, name?: string): Promise<void> {
  const { deps, options, output } = call;
  if (options.replay !== undefined) {
    if (name === undefined && options.email === undefined) return await replay(call, options.replay);
    throw new Problem('argument-invalid', 'name a sender or use --replay, not both');
  }
  const which = whichOf(name, options);
  const load = async () => ({
    ...(await import('../../../services/senders/erase-sender.ts')),
    ...(await import('../../../services/senders/senders.ts')),
  });
  await runInScope(deps, load, async (scope, { eraseSender, findErasable, showSender }) => {
    const choice = await which(scope);
    const { sender, address, messages } = await findErasable(scope, choice);
    const { name = null, email = address } = sender === null ? {} : await showSender(scope, sender);
    const whom = email === null ? String(sender?.id) : formatMailbox({ address: email, ...(name && { name }) });
    const question = `Erase ${showSafe(whom)} for good: ${plural(messages, 'message')}, emails included?`;
    await confirmOrRefuse(deps, options, question);
    const erased = await eraseSender(scope, choice);
    if (options.json) output.printJson(erased);
    else await printErased(output, scope, erased);
  });
}

async function printErased(output: Output, scope: Scope, erased: Erased): Promise<void> {
  const { erasureLogFile } = await import('../../../services/senders/erasure-log.ts');
  output.print(`erased: ${plural(erased.messages, 'message')} and ${plural(erased.emails, 'email')} are gone`);
  if (erased.underway > 0) {
    output.note(`${plural(erased.underway, 'email')} was being sent at that moment and may still arrive.`);
  }
  output.note(
    erased.logged
      ? `The erasure is recorded in ${erasureLogFile(scope.config)}, without a name, in case a backup is restored.`
      : 'The erasure is recorded in the database, without a name; each server copies it to DATA_DIR/erasures.jsonl within an hour.',
  );
}

const loadErasures = () =>
  Promise.all([
    import('../../../services/senders/replay-erasures.ts'),
    import('../../../services/senders/erasure-log.ts'),
  ]);

async function printErasures({ deps, output }: Call): Promise<void> {
  await runInScope(deps, loadErasures, async (scope, [{ listErasures }, { formatRecord }]) => {
    const records = await listErasures(scope);
    for (const record of records) deps.stdout.write(formatRecord(scope.keyring, record));
    if (records.length === 0) {
      output.note('Nobody was erased yet. If somebody asks for it: ruffinweb senders erase --email <address>');
    }
  });
}

async function replay({ deps, options, output }: Call, file: string): Promise<void> {
  const text = readLog(file);
  await runInScope(deps, loadErasures, async (scope, [{ replayErasures }, { noteErasures, parseLog }]) => {
    const { records, strangeLines } = parseLog(scope.keyring, text);
    const strange = strangeLines.length;
    if (records.length === 0 && strange > 0) {
      throw new Refusal(`${file} is not the erasure log of this database: no line was signed with its keys`);
    }
    const question = `Erase again everybody in ${showSafe(file)} (${plural(records.length, 'record')})?`;
    await confirmOrRefuse(deps, options, question);
    const replayed = await replayErasures(scope, records);
    if (replayed.records > 0) await noteErasures(scope, records);
    output.printResult({ ...replayed, inFile: records.length, strange }, () =>
      output.print(
        replayed.records === 0
          ? `nothing to do: the database knows all ${plural(records.length, 'erasure')}`
          : `${plural(replayed.records, 'erasure')} done again: ${plural(replayed.messages, 'message')} and ${plural(replayed.senders, 'sender')} are gone`,
      ),
    );
    const where = strangeLines.slice(0, 10).join(', ');
    if (strange > 0)
      output.warn(
        `${plural(strange, 'line')} of the file cannot be used (line ${where}): torn, changed, or from another database`,
      );
  });
}

function readLog(file: string): string {
  try {
    return readTextFile(file);
  } catch (error) {
    if (error instanceof TextFileFault) throw error;
    throw new Refusal(`${file} cannot be read: ${(error as Error).message}`);
  }
}
