import { Option } from 'commander';
import { Problem } from '../../../problems.ts';
import type { ResendQuery, Resent } from '../../../services/emails/resend-one.ts';
import type { Scope } from '../../../services/scope.ts';
import { emailKinds } from '../../../words.ts';
import { needWords } from '../../session/advice.ts';
import { type Call, type CliCommand, notEmpty } from '../../session/command.ts';
import { onlyGiven, periodOf } from '../../session/options.ts';
import { setExitCode } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse, isInteractive } from '../../terminal/confirm.ts';
import { maskText } from '../../terminal/mask.ts';
import { type CommonOptions, plural } from '../../terminal/output.ts';
import { showProgress } from '../../terminal/progress.ts';
import { whichEmail } from './cancel.ts';
import { warnOfPause } from './pause.ts';
import { printPlan, printResults, type ResendOptions } from './resend-screens.ts';

type Which = { ids: string[] } | { query: ResendQuery };

export function addResendCommand(emails: CliCommand): void {
  emails
    .command('resend')
    .description('Send emails now: the given ones, all failed ones, or all that wait for a retry')
    .argument('[email...]', whichEmail)
    .option('--failed', 'all failed emails, limited by the options below')
    .addOption(new Option('--queued', 'all emails that wait for a retry').conflicts('failed'))
    .addOption(new Option('--kind <kind>', 'only of this kind').choices(emailKinds))
    .option('--form <slug>', 'only about messages of this form', notEmpty)
    .periodOptions('first queued ')
    .option('--again', 'with ids: also emails that were cancelled, sent, or perhaps sent')
    .option('--to <address>', 'notifications only: send them to this address instead')
    .addOption(new Option('--wait', 'until all are sent or failed; exits 1 if one is not sent').conflicts('dryRun'))
    .option('--dry-run', 'only say what would happen')
    .option('--yes', 'do not ask')
    .option('--mask', 'hide addresses')
    .jsonOption()
    .examples(
      'ruffinweb emails resend --failed --since 2d --kind notification --dry-run',
      'ruffinweb emails resend --queued --wait',
      'ruffinweb emails resend --failed --to office@example.com --yes',
      'ruffinweb emails resend RW-4K2M9Q7T1X --again',
    )
    .run(resendEmails);
}

const load = async () => ({
  ...(await import('../../../services/emails/resend-emails.ts')),
  ...(await import('../../../services/emails/describe-emails.ts')),
  ...(await import('../../../services/emails/find-named-emails.ts')),
});
type Services = Awaited<ReturnType<typeof load>>;

async function resendEmails(call: Call<ResendOptions>, names: string[]): Promise<void> {
  const { deps, options, output } = call;
  const given = readWhich(names, options);
  const stop = deps.stopGently();
  let isStuck = false;
  const items = await runInScope(deps, load, async (scope, services) => {
    const { to } = options;
    const kind = to === undefined ? undefined : 'notification';
    const which = 'ids' in given ? { ids: await services.findNamedEmails(scope, names, { kind }) } : given;
    const total = 'ids' in which ? which.ids.length : await services.countResendable(scope, which.query, to);
    const describe = async (of: readonly Resent[]) =>
      await services.describeEmails(
        scope,
        of.map((it) => it.id),
      );
    const send = (dryRun: boolean) =>
      resend({ ...call, options: { ...options, dryRun } }, scope, services, which, total, stop);
    if ('query' in which && total > 0 && !options.dryRun && isInteractive(deps)) {
      const emails = which.query.state === 'failed' ? 'failed email' : 'waiting email';
      const when = which.query.state === 'failed' ? 'again' : 'now';
      if (!options.yes && !options.json) await printPlan(call, await send(true), describe);
      await confirmOrRefuse(deps, options, `Send ${plural(total, emails)} ${when}?`);
    }
    const items = (await send(options.dryRun ?? false)).map((it) => wordReason(it, options));
    const about = options.json ? new Map() : await describe(items);
    const due = items.length === 0 && 'query' in given ? await services.countAlreadyDue(scope, given.query) : 0;
    if (!options.json && (items.length > 0 || !stop.aborted)) printResults(call, items, about, due);
    if (stop.aborted)
      output.warn(`\nStopped after ${items.length} of ${plural(total, 'email')}: run it again to continue.`);
    // Also if nothing was queued: mail that is due waits for the end of the pause too.
    if (!options.dryRun && (await warnOfPause(output, scope, options)) !== null)
      isStuck = options.wait === true && due > 0;
    return items;
  });
  const isRefused = isStuck || items.some((it) => it.code !== null);
  setExitCode(deps, stop, isRefused);
  const waitFor = items.filter((it) => /queued$/.test(it.result)).map((it) => it.newId ?? it.id);
  const waited = options.wait && (await (await import('./wait.ts')).waitForEmails(call, waitFor, stop, isRefused));
  if (options.json) output.printJson({ dryRun: options.dryRun ?? false, items, ...(waited && { waited }) });
}

async function resend(
  { deps, options }: Call<ResendOptions>,
  scope: Scope,
  { resendEmails }: Services,
  which: Which,
  total: number,
  stop: AbortSignal,
): Promise<Resent[]> {
  using progress = showProgress(deps, options, total, 'queued');
  return await resendEmails(scope, {
    ...which,
    ...onlyGiven({ to: options.to }),
    again: options.again ?? false,
    dryRun: options.dryRun ?? false,
    stop,
    onProgress: progress.report,
  });
}

/** @throws {Problem} argument-invalid */
function readWhich(ids: string[], options: ResendOptions): Which {
  const { kind, form, failed, queued } = options;
  const filter = { ...periodOf(options), ...onlyGiven({ kind, form }) };
  // Auto-replies and held summaries keep their recipients.
  const toAll = options.to !== undefined && { kind: 'notification' as const };
  if (toAll && kind !== undefined && kind !== 'notification') {
    throw new Problem('argument-invalid', `--to is for notifications, not for --kind ${kind}`);
  }
  if (ids.length > 0 && (failed || queued || Object.keys(filter).length > 0)) {
    throw new Problem('argument-invalid', 'name emails or use --failed or --queued, not both');
  }
  if (ids.length > 0) return { ids };
  if (!failed && !queued)
    throw new Problem('argument-invalid', 'say which emails: receipts of messages, their ids, --failed or --queued');
  if (options.again) throw new Problem('argument-invalid', '--again is for emails named by their ids');
  return { query: { ...filter, ...toAll, state: failed ? 'failed' : 'queued' } };
}

/** Adds the option that would allow it to the reason for a refusal. */
function wordReason({ needs, reason, ...answer }: Resent, { mask }: CommonOptions): Resent {
  const words = reason && reason + (needs ? needWords[needs] : '');
  return { ...answer, reason: words && mask ? maskText(words) : words };
}
