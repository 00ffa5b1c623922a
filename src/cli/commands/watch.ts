import type { WatchEvent } from '../../services/health/read-events.ts';
import type { Scope } from '../../services/scope.ts';
import { heldInWords, type PauseCause } from '../../words.ts';
import { type Call, type CliCommand, notEmpty } from '../session/command.ts';
import { unopened } from '../session/print-page.ts';
import { maskAddress, maskText } from '../terminal/mask.ts';
import type { Output } from '../terminal/output.ts';
import { safeJson, showSafe } from '../terminal/safe-text.ts';
import { writePiece } from '../terminal/write-pieces.ts';

export function addWatchCommand(program: CliCommand): void {
  program
    .command('watch')
    .description('Print a line for each message, each attempt to send mail or tell a hook, and each pause of mail')
    .option('--form <slug>', 'only of this form; pauses concern every form', notEmpty)
    .dataOptions('print JSON Lines, one event a line')
    .addHelpText(
      'after',
      '\nRefused posts are not stored: see the log of "serve", and ruffinweb_posts_total\nin /metrics.',
    )
    .examples(
      'ruffinweb watch --form contact',
      `ruffinweb watch --json | jq -r 'select(.event == "email-failed").said'`,
    )
    .run(watch);
}

const load = async () => ({
  ...(await import('../../services/health/read-events.ts')),
  ...(await import('../../services/delivery/pause/pause.ts')),
});

/** Ends by Ctrl-C, or when nobody reads its output any more. */
async function watch(call: Call<{ form?: string }>): Promise<void> {
  const { deps, options, output } = call;
  const { everySecond } = await import('../session/every-second.ts');
  let look: ((scope: Scope) => Promise<WatchEvent[]>) | undefined;
  await everySecond(call, deps.stopGently(), load, async (scope, { watchEvents, describePause }) => {
    const isFirst = look === undefined;
    look ??= watchEvents(options.form);
    const events = (await look(scope)).map((it) => (options.mask ? maskEvent(it) : it));
    if (isFirst) output.note('Watching what happens from now on; Ctrl-C stops.');
    const pauseFact = ({ reasons, said }: WatchEvent) =>
      describePause({ cause: reasons[0] as PauseCause, reason: said }, scope.config).fact;
    const lines = events.map((it) => (options.json ? safeJson(it, { oneLine: true }) : lineOf(output, it, pauseFact)));
    return lines.length === 0 || (await writePiece(deps.stdout, `${lines.join('\n')}\n`));
  });
}

function maskEvent(event: WatchEvent): WatchEvent {
  return { ...event, address: event.address && maskAddress(event.address), said: event.said && maskText(event.said) };
}

const words: Readonly<Record<WatchEvent['event'], [word: string, paint: 'good' | 'warning' | 'bad' | 'bold']>> = {
  'message-stored': ['stored', 'bold'],
  'message-held': ['held', 'warning'],
  'email-sent': ['sent', 'good'],
  'email-retried': ['retry', 'warning'],
  'email-failed': ['failed', 'bad'],
  'hook-sent': ['sent', 'good'],
  'hook-retried': ['retry', 'warning'],
  'hook-failed': ['failed', 'bad'],
  'queue-paused': ['paused', 'bad'],
  'queue-resumed': ['resumed', 'good'],
};

function lineOf(output: Output, event: WatchEvent, pauseFact: (event: WatchEvent) => string): string {
  const [word, paint] = words[event.event];
  const start = `${output.style.dim(output.clock(event.at))}  ${output.style[paint](word.padEnd(7))}`;
  return `${start}  ${showSafe(textOf(output, event, pauseFact))}`;
}

function textOf(output: Output, event: WatchEvent, pauseFact: (event: WatchEvent) => string): string {
  if (event.event === 'queue-paused') return pauseFact(event);
  if (event.event === 'queue-resumed') return 'mail goes out again';
  const { receipt, form, kind, address, hook, reasons, nextAt } = event;
  const said = event.said?.replaceAll(/\s+/g, ' ').slice(0, 500) ?? 'its worker was lost';
  const about = (receipt ?? '').padEnd(13);
  if (kind === null) {
    const why = reasons.length > 0 ? `: ${heldInWords(reasons)}` : '';
    return `${about}  ${form}  ${address ?? unopened}${why}`;
  }
  const next = nextAt === null ? '' : `, again ${output.dueTime(nextAt)}`;
  const isDone = /-sent$/.test(event.event);
  return `${about}  ${kind} to ${hook ?? address ?? unopened}${next}${isDone ? '' : `: ${said}`}`;
}
