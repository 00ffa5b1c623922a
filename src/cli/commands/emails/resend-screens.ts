import type { Resent } from '../../../services/emails/resend-one.ts';
import type { EmailKind } from '../../../words.ts';
import type { Call } from '../../session/command.ts';
import type { PeriodOptions } from '../../session/options.ts';
import { reasonColumn, resultColumn, wordResult } from '../../session/results.ts';
import { plural } from '../../terminal/output.ts';
import type { Column } from '../../terminal/table.ts';
import { aboutColumns, type Described, idColumn, warnOfRefused } from './screens.ts';

export interface ResendOptions extends PeriodOptions {
  failed?: boolean;
  queued?: boolean;
  kind?: EmailKind;
  form?: string;
  again?: boolean;
  to?: string;
  wait?: boolean;
}

export function printResults(
  { options, output }: Call<ResendOptions>,
  results: readonly Resent[],
  about: Described,
  due: number,
): void {
  if (results.length === 0) {
    output.note(explainNothing(options, due));
    return;
  }
  const newId = { header: 'NEW ID', text: (it: Resent) => it.newId ?? '', omit: 7 };
  printItems({ options, output }, results, about, results.some((it) => it.newId !== null) ? [newId] : []);
  // No hint for emails that were sent meanwhile, nor with --to, whose address knows those messages already.
  const skipped = results.filter((it) => it.result === 'skipped' && !it.reason?.endsWith('meanwhile'));
  if (options.to === undefined && skipped.length > 0) {
    const ids = skipped.length > 5 ? '<id...>' : skipped.map((it) => it.id).join(' ');
    output.note(`\nTo send skipped emails too: ruffinweb emails resend ${ids} --again`);
  }
  output.note('');
  if (options.to === undefined) warnOfRefused(output, results, about);
  const queued = results.filter((it) => it.result === 'queued').length;
  const others = results.length - queued;
  output.note(
    options.dryRun
      ? `${plural(queued, 'email')} would be queued; nothing was changed`
      : `${plural(queued, 'email')} queued${others > 0 ? `, ${others} not` : ''}`,
  );
}

function printItems(
  { options, output }: Pick<Call<ResendOptions>, 'options' | 'output'>,
  items: readonly Resent[],
  about: Described,
  further: readonly Column<Resent>[] = [],
): void {
  // That it was due later is no news for somebody who asked for it.
  const shown = items.map((it) => (it.reason?.startsWith('due now') ? { ...it, reason: null } : it));
  output.printTable(shown, [
    ...aboutColumns(about, options),
    resultColumn(output, (it) => (options.dryRun && it.result === 'queued' ? 'would be queued' : wordResult(it))),
    ...reasonColumn(shown, 31),
    ...further,
    idColumn,
  ]);
}

/** What a person can read before answering a question. */
const maxPlanned = 10;

export async function printPlan(
  { options, output }: Call<ResendOptions>,
  plan: readonly Resent[],
  describe: (items: readonly Resent[]) => Promise<Described>,
): Promise<void> {
  const about = await describe(plan);
  printItems({ options: { ...options, dryRun: true }, output }, plan.slice(0, maxPlanned), about);
  if (plan.length > maxPlanned) output.note(`… and ${plan.length - maxPlanned} more: --dry-run shows all`);
  if (options.to === undefined) warnOfRefused(output, plan, about);
}

function explainNothing({ queued, to }: ResendOptions, due: number): string {
  if (!queued) return 'No failed email matches: nothing to send again.';
  if (to !== undefined) return 'No queued notification goes to another address: nothing to change.';
  return due === 0
    ? 'No email waits for a retry: nothing to send now.'
    : `${plural(due, 'email is', 'emails are')} due already: nothing to send sooner.`;
}
