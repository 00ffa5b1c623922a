import { formatMailbox } from '../../address.ts';
import type { MessageView } from '../../services/views.ts';
import { type Call, type CliCommand, wholeNumber } from '../session/command.ts';
import { fromOf } from '../session/print-page.ts';
import { setExitCode } from '../session/results.ts';
import { runInScope } from '../session/run-in-scope.ts';
import { maskMessage } from '../terminal/mask.ts';
import { type Output, plural } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';
import { safeJson, showSafe } from '../terminal/safe-text.ts';
import { cut } from '../terminal/table.ts';
import { writePieces } from '../terminal/write-pieces.ts';
import { addMessageFilter, type MessageFilterOptions, messageFilterOf, withSender } from './messages/filter.ts';

type FindOptions = MessageFilterOptions & { limit: number };

export function addFindCommand(program: CliCommand): void {
  addMessageFilter(program.command('find'))
    .description('Search messages for words, newest first: names, addresses, subjects, texts, further fields, receipts')
    .argument('<words...>', 'each must occur in the message; case and accents do not matter')
    .option('--limit <number>', 'stop after so many messages', wholeNumber(1, 1_000_000), 20)
    .dataOptions()
    .examples('ruffinweb find lovelace invoice', 'ruffinweb find "red bicycle" --since 30d --form contact --json')
    .run(find);
}

export const loadSearch = () => import('../../services/messages/search-messages.ts');

async function find(call: Call<FindOptions>, given: string[]): Promise<void> {
  const { deps, options, output } = call;
  const limits = messageFilterOf(options);
  const stop = deps.stopGently();
  await runInScope(deps, loadSearch, async (scope, { foldText, readWords, searchMessages }) => {
    const [words, filter] = [readWords(given), await withSender(scope, limits)];
    using progress = showProgress(deps, options, undefined, 'searched');
    let [found, searched, unopened, end] = [0, 0, 0, '; older messages were not searched'];
    const format = (view: MessageView) =>
      options.json ? `${safeJson(view, { oneLine: true })}\n` : formatHit(output, view, words, foldText);
    const pieces = async function* () {
      for await (const batch of searchMessages(scope, words, filter)) {
        const hits = batch.hits.slice(0, options.limit - found);
        found += hits.length;
        searched += batch.searched;
        unopened += batch.unopened;
        if (hits.length > 0) progress.clear();
        if (hits.length > 0) yield (options.mask ? hits.map(maskMessage) : hits).map(format).join('');
        progress.report(searched);
        if (found === options.limit) end = `; for more add --limit ${2 * found}`;
        if (found === options.limit || stop.aborted) return;
      }
      end = '';
    };
    await writePieces(deps, pieces());
    progress.clear();
    if (end === '' && found === 0 && words.length > 1) end = ': each word must occur, so try fewer words';
    output.note(`${plural(found, 'message')} found in ${searched}${end}`);
    warnOfUnopened(output, unopened);
    setExitCode(deps, stop, unopened > 0);
  });
}

export function warnOfUnopened(output: Output, unopened: number): void {
  if (unopened === 0) return;
  const what = `${plural(unopened, 'message')} cannot be decrypted, so only the receipt was compared`;
  output.warn(`${what}: see "ruffinweb encryption status"`);
}

/** A line about the message, and one with the text around the first word that is in it. */
function formatHit(
  output: Output,
  view: MessageView,
  words: readonly string[],
  fold: (text: string) => string,
): string {
  const width = Math.min(output.width, 160);
  const { receipt, name, email } = view;
  const from = name === null || email === null ? fromOf(view) : formatMailbox({ name, address: email });
  const status = view.status === 'accepted' ? '' : `${view.status}  `;
  const head = `${output.time(view.receivedAt)}  ${status}${view.form}  ${from.replaceAll(/\s+/g, ' ')}`;
  const fields = Object.entries(view.extra ?? {}).map((field) => field.join(': '));
  const texts = [view.subject, view.message, ...fields].filter((it) => it !== null);
  const text = texts.join(' – ').replaceAll(/\s+/g, ' ');
  const folded = fold(text);
  const at = words.map((word) => folded.indexOf(word)).find((it) => it >= 0) ?? 0;
  // Folding may change the length a little.
  const begin = at < width / 2 ? 0 : text.lastIndexOf(' ', (at / folded.length) * text.length - width / 3) + 1;
  const part = cut(showSafe((begin > 0 ? '…' : '') + text.slice(begin, begin + width)), width - 4);
  const first = `${output.style.bold(receipt)}  ${cut(showSafe(head), width - receipt.length - 2)}\n`;
  return part === '' ? first : `${first}    ${output.style.dim(part)}\n`;
}
