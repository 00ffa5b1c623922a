import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { Problem } from '../../../problems.ts';
import type { Scope } from '../../../services/scope.ts';
import type { Erased } from '../../../services/senders/erase-sender.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { addExamples, optionsOf } from '../../session/options.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse, Refusal } from '../../terminal/confirm.ts';
import type { Deps } from '../../terminal/deps.ts';
import { type GlobalOptions, Output, plural } from '../../terminal/output.ts';
import { safeJson, showSafe } from '../../terminal/safe-text.ts';
import { writePieces } from '../../terminal/write-pieces.ts';

interface EraseOptions extends GlobalOptions {
  email?: string;
  replay?: string;
  yes?: boolean;
  json?: boolean;
}

type Which = { id: string } | { email: string };

/** What people may ask for about themselves, and the record of it. */
export function addSenderRights(
  senders: Command,
  deps: Deps,
  chooseOne: (id: string | undefined, email: string | undefined) => Which,
): void {
  const take = senders
    .command('export')
    .description('Print everything that is held about one address, as one JSON object')
    .argument('[id]', 'as shown by "senders list --json"')
    .option('--email <address>', 'find by address; also where nobody writes from there any more')
    .option('--json', 'print JSON, as it does anyway')
    .action(async (id: string | undefined, _options, command: Command) => {
      const which = chooseOne(id, optionsOf<GlobalOptions & { email?: string }>(command).email);
      const stop = deps.stopGently();
      const load = () => import('../../../services/senders/export-sender.ts');
      await runInScope(deps, load, async (scope, { exportSender, jsonPieces }) => {
        const everything = await exportSender(scope, which);
        const pieces = jsonPieces(everything, (value) => safeJson(value, { oneLine: true }));
        await writePieces(deps, pieces, stop);
      });
      if (stop.aborted) deps.setExitCode(exitCode.interrupted);
    });
  addExamples(take, [
    'ruffinweb senders export --email ada@example.com > ada.json',
    `ruffinweb senders export --email ada@example.com | jq '.messages[].receivedAt'`,
  ]);

  const erase = senders
    .command('erase')
    .description('Delete a sender for good, with all messages, their mail and every try')
    .argument('[id]', 'as shown by "senders list --json"')
    .option('--email <address>', 'find by address')
    .option('--replay <file>', 'after a backup was restored: erase again whom this erasure log names')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .action(async (id: string | undefined, _options, command: Command) => {
      const options = optionsOf<EraseOptions>(command);
      const output = new Output(deps, options);
      if (options.replay !== undefined) {
        if (id !== undefined || options.email !== undefined) {
          throw new Problem('argument-invalid', 'say one of the two: a sender, or --replay with a file');
        }
        await replay(deps, output, options.replay, options);
        return;
      }
      const which = chooseOne(id, options.email);
      await confirmOrRefuse(
        deps,
        options,
        `Erase ${showSafe('id' in which ? which.id : which.email)} for good, mail included?`,
      );
      const load = () => import('../../../services/senders/erase-sender.ts');
      await runInScope(deps, load, async (scope, { eraseSender }) => {
        const erased = await eraseSender(scope, which);
        if (options.json) output.printJson(erased);
        else await tellErased(output, scope, erased);
      });
    });
  addExamples(erase, [
    'ruffinweb senders erase --email ada@example.com',
    'ruffinweb senders erase --replay /safe/place/erasures.jsonl --yes',
  ]);

  const erasures = senders
    .command('erasures')
    .description('Print the erasure log: a keyed hash and a time for each erased sender, one JSON object a line')
    .option('--json', 'print JSON, as it does anyway')
    .action(async (_options, command: Command) => {
      const output = new Output(deps, optionsOf(command));
      const records = await runInScope(deps, loadErasures, async (scope, [{ listErasures }, { formatRecord }]) => {
        const found = await listErasures(scope);
        for (const record of found) deps.stdout.write(formatRecord(scope.keyring, record));
        return found;
      });
      if (records.length === 0) {
        output.note('Nobody was erased yet. When somebody asks for it: ruffinweb senders erase --email <address>');
      }
    });
  addExamples(erasures, [
    'ruffinweb senders erasures >> /safe/place/erasures.jsonl',
    'ruffinweb senders erasures | wc -l',
  ]);
}

const loadErasures = () =>
  Promise.all([
    import('../../../services/senders/replay-erasures.ts'),
    import('../../../services/senders/erasure-log.ts'),
  ]);

async function tellErased(output: Output, scope: Scope, erased: Erased): Promise<void> {
  const { erasureLogFile } = await import('../../../services/senders/erasure-log.ts');
  output.print(`erased: ${plural(erased.messages, 'message')} and ${plural(erased.emails, 'email')} are gone`);
  if (erased.underway > 0) {
    output.note(`${plural(erased.underway, 'email')} was on its way at that moment and may still arrive.`);
  }
  output.note(
    erased.logged
      ? `That it happened stands in ${erasureLogFile(scope.config)}, without a name, for when a backup is restored.`
      : 'That it happened stands in the database, without a name; each server copies it to DATA_DIR/erasures.jsonl within an hour.',
  );
}

async function replay(deps: Deps, output: Output, file: string, options: EraseOptions): Promise<void> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new Refusal(`${file} cannot be read: ${error.message}`);
  });
  await runInScope(deps, loadErasures, async (scope, [{ replayErasures }, { noteErasures, parseLog }]) => {
    const { records, strange } = parseLog(scope.keyring, text);
    if (records.length === 0 && strange > 0) {
      throw new Refusal(`${file} is not the erasure log of this database: none of its lines was signed with its keys`);
    }
    await confirmOrRefuse(
      deps,
      options,
      `Erase again whom the ${plural(records.length, 'record')} of ${showSafe(file)} name?`,
    );
    const replayed = await replayErasures(scope, records);
    if (replayed.records > 0) await noteErasures(scope, records);
    if (options.json) output.printJson({ ...replayed, inFile: records.length, strange });
    else {
      output.print(
        replayed.records === 0
          ? `nothing to do: the database knows all ${plural(records.length, 'erasure')}`
          : `${plural(replayed.records, 'erasure')} done again: ${plural(replayed.messages, 'message')} and ${plural(replayed.senders, 'sender')} are gone`,
      );
    }
    if (strange > 0)
      output.warn(`${plural(strange, 'line')} of the file cannot be used: torn, changed, or of another database`);
  });
}
