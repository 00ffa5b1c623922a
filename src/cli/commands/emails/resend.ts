import { type Command, Option } from 'commander';
import { Problem } from '../../../problems.ts';
import type { ResendQuery, Resent } from '../../../services/emails/resend-one.ts';
import { type EmailKind, emailKinds } from '../../../words.ts';
import { needWords } from '../../session/advice.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { addExamples, addPeriodOptions, optionsOf, type PeriodOptions, periodOf } from '../../session/options.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse, isInteractive } from '../../terminal/confirm.ts';
import type { Deps } from '../../terminal/deps.ts';
import { type GlobalOptions, Output, plural } from '../../terminal/output.ts';
import { showProgress } from '../../terminal/progress.ts';
import { warnOfPause } from './pause.ts';

interface ResendOptions extends GlobalOptions, PeriodOptions {
  failed?: boolean;
  queued?: boolean;
  kind?: EmailKind;
  form?: string;
  again?: boolean;
  to?: string;
  dryRun?: boolean;
  yes?: boolean;
  json?: boolean;
}

export function addResendCommand(emails: Command, deps: Deps): void {
  const resend = emails
    .command('resend')
    .description('Send emails now: those named, or those of a query that failed or wait for their next try')
    .argument('[id...]', 'as shown by "emails list"')
    .option('--failed', 'every failed one, within the limits below')
    .addOption(new Option('--queued', 'every one that waits for its next try').conflicts('failed'))
    .addOption(new Option('--kind <kind>', 'of a query: of this kind').choices(emailKinds))
    .option('--form <slug>', 'of a query: of messages of this form')
    .action(async (ids: string[], _options, command: Command) => {
      const options = optionsOf<ResendOptions>(command);
      const output = new Output(deps, options);
      const which = readWhich(ids, options);
      const stop = deps.stopGently();
      const load = () => import('../../../services/emails/resend-emails.ts');
      await runInScope(deps, load, async (scope, { countResendable, resendEmails }) => {
        const total = 'ids' in which ? ids.length : await countResendable(scope, which.query, options.to);
        if ('query' in which && total > 0 && !options.dryRun && isInteractive(deps)) {
          const question =
            which.query.state === 'failed'
              ? `Send ${plural(total, 'failed email')} again?`
              : `Send ${plural(total, 'waiting email')} now?`;
          await confirmOrRefuse(deps, options, question);
        }
        using progress = showProgress(deps, options, total, 'queued');
        const answers = await resendEmails(scope, {
          ...which,
          again: options.again ?? false,
          ...(options.to !== undefined && { to: options.to }),
          dryRun: options.dryRun ?? false,
          stop,
          onProgress: progress.report,
        });
        progress[Symbol.dispose]();
        const results = answers.map(wordRefusal);
        if (options.json) output.printJson({ dryRun: options.dryRun ?? false, items: results });
        else printResults(output, results, options);
        // Also where nothing had to be queued: what is due by itself waits as well.
        if (!options.dryRun) await warnOfPause(output, scope);
        if (stop.aborted) deps.setExitCode(exitCode.interrupted);
        else if (results.some((it) => it.result === 'refused' || it.result === 'not-found'))
          deps.setExitCode(exitCode.refused);
      });
    });
  addPeriodOptions(resend, 'first queued ')
    .option('--again', 'also what was sent already or cancelled, or may have been sent')
    .option('--to <address>', 'notifications only: to this owner instead of the one they were for')
    .option('--dry-run', 'only say what would happen')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON');
  addExamples(resend, [
    'ruffinweb emails resend --failed --since 2d --kind notification --dry-run',
    'ruffinweb emails resend --queued',
    'ruffinweb emails resend --failed --to office@example.com --yes',
    'ruffinweb emails resend 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a --again',
  ]);
}

/** @throws {Problem} argument-invalid */
function readWhich(ids: string[], options: ResendOptions): { ids: string[] } | { query: ResendQuery } {
  const { kind, form, failed, queued } = options;
  const filter = { ...periodOf(options, new Date()), ...(kind && { kind }), ...(form && { form }) };
  // Mail to visitors, and what is held for whom, stays as it is addressed.
  const toAll = options.to !== undefined && { kind: 'notification' as const };
  if (toAll && kind !== undefined && kind !== 'notification') {
    throw new Problem('argument-invalid', `--to is for notifications, not for --kind ${kind}`);
  }
  if (ids.length > 0 && (failed || queued || Object.keys(filter).length > 0)) {
    throw new Problem('argument-invalid', 'name ids, or ask for --failed or --queued ones, not both');
  }
  if (ids.length > 0) return { ids };
  if (!failed && !queued) throw new Problem('argument-invalid', 'say which emails: their ids, --failed or --queued');
  if (options.again) throw new Problem('argument-invalid', '--again is for emails named by their ids');
  return { query: { ...filter, ...toAll, state: failed ? 'failed' : 'queued' } };
}

const words: Readonly<Record<Resent['result'], string>> = {
  queued: 'queued',
  'already-queued': 'already queued',
  skipped: 'skipped',
  refused: 'refused',
  'not-found': 'not found',
};

/** The reason together with the option that the request lacks. */
function wordRefusal({ needs, ...answer }: Resent): Resent {
  return needs ? { ...answer, reason: `${answer.reason}${needWords[needs]}` } : answer;
}

function printResults(output: Output, results: readonly Resent[], options: ResendOptions): void {
  const { style } = output;
  const { dryRun = false } = options;
  if (results.length === 0) {
    output.note(
      !options.queued
        ? 'No failed email matches: nothing to send again.'
        : options.to === undefined
          ? 'No email waits for a later time: nothing to send now.'
          : 'No queued notification goes to another address: nothing to change.',
    );
    return;
  }
  output.printTable(results, [
    { header: 'ID', text: (it) => it.id },
    {
      header: 'RESULT',
      text: (it) => (dryRun && it.result === 'queued' ? 'would be queued' : words[it.result]),
      style: (text, it) =>
        it.code !== null ? style.bad(text) : it.result === 'queued' ? style.good(text) : style.dim(text),
    },
    ...(results.some((it) => it.reason !== null)
      ? [{ header: 'WHY', text: (it: Resent) => it.reason ?? '', least: 16 }]
      : []),
    ...(results.some((it) => it.newId !== null) ? [{ header: 'NEW ID', text: (it: Resent) => it.newId ?? '' }] : []),
  ]);
  // One that was sent meanwhile needs nothing more; nor does one of whose message the address of --to is told.
  if (options.to === undefined && results.some((it) => it.result === 'skipped' && !it.reason?.endsWith('meanwhile'))) {
    output.note('\nSkipped ones are sent by their ids: ruffinweb emails resend <id> --again');
  }
  const queued = results.filter((it) => it.result === 'queued').length;
  const others = results.length - queued;
  output.note(
    dryRun
      ? `\n${plural(queued, 'email')} would be queued; nothing was changed`
      : `\n${plural(queued, 'email')} queued${others > 0 ? `, ${others} not` : ''}`,
  );
}
