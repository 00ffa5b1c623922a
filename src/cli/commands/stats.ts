import { type Command, InvalidArgumentError } from 'commander';
import type { DeliveryTimes, Stats } from '../../services/health/stats.ts';
import { addExamples, optionsOf } from '../session/options.ts';
import { runInScope } from '../session/run-in-scope.ts';
import { bar, timeBar, twoBars } from '../terminal/chart.ts';
import type { Deps } from '../terminal/deps.ts';
import { type GlobalOptions, Output, plural } from '../terminal/output.ts';

interface StatsOptions extends GlobalOptions {
  days: number;
  form?: string;
  json?: boolean;
}

export function addStatsCommand(program: Command, deps: Deps): void {
  const stats = program
    .command('stats')
    .description('Messages a day, how many are held, and how long mail takes')
    .option('--days <number>', 'how many days, today included, up to 366', readDays, 14)
    .option('--form <slug>', 'of this form')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf<StatsOptions>(command);
      const output = new Output(deps, options);
      const request = { days: options.days, ...(options.form && { form: options.form }) };
      const load = () => import('../../services/health/stats.ts');
      const found = await runInScope(deps, load, (scope, { readStats }) => readStats(scope, request));
      if (options.json) output.printJson(found);
      else if (found.messages === 0 && found.delivery.emails === 0) {
        output.note(`No message in the last ${plural(options.days, 'day')}. Ask for more: ruffinweb stats --days 366`);
      } else printStats(output, found);
    });
  addExamples(stats, ['ruffinweb stats --days 30', `ruffinweb stats --json | jq '.delivery.p95Ms'`]);
}

function readDays(text: string): number {
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1 || days > 366) throw new InvalidArgumentError('It must be from 1 to 366.');
  return days;
}

/** Charts are read best when they are not as long as a wide terminal. */
const maxBarWidth = 60;

function printStats(output: Output, stats: Stats): void {
  const { style } = output;
  const share =
    stats.heldShare === null ? '' : ` (${(stats.heldShare * 100).toFixed(stats.heldShare < 0.1 ? 1 : 0)} %)`;
  output.print(`${style.bold('Messages a day')}  ${plural(stats.messages, 'message')}, ${stats.held} held${share}`);
  const most = Math.max(...stats.days.map((it) => it.messages), 1);
  const room = roomFor(output, 34);
  for (const { day, messages, held } of stats.days) {
    const [accepted, kept] = held === 0 ? [bar(messages, most, room), ''] : twoBars(messages - held, held, most, room);
    const number = String(messages).padStart(6);
    output.print(
      `${style.dim(day)} ${number}  ${style.good(accepted)}${style.warning(kept)}${held > 0 ? ` ${held} held` : ''}`.trimEnd(),
    );
  }
  if (stats.delivery.emails === 0) {
    output.note('\nNo email of these days has been delivered yet.');
    return;
  }
  output.print();
  output.print(
    `${style.bold('Delivery times')}  ${plural(stats.delivery.emails, 'email')}: ${timesOf(stats.delivery)}`,
  );
  output.print(style.dim(`${'p50'.padStart(19)}${'p95'.padStart(9)}${'p99'.padStart(9)}  █ p50 ▓ p95 ░ p99`));
  const slowest = Math.max(...stats.days.map((it) => it.delivery.p99Ms ?? 0));
  const timeRoom = roomFor(output, 42);
  for (const { day, delivery } of stats.days) {
    const { p50Ms, p95Ms, p99Ms } = delivery;
    if (p50Ms === null || p95Ms === null || p99Ms === null) continue;
    const figures = [p50Ms, p95Ms, p99Ms].map((ms) => formatTime(ms).padStart(8)).join(' ');
    output.print(`${style.dim(day)} ${figures}  ${timeBar([p50Ms, p95Ms, p99Ms], slowest, timeRoom, style)}`);
  }
}

function roomFor(output: Output, others: number): number {
  return Math.max(8, Math.min(maxBarWidth, output.width - others));
}

function timesOf({ p50Ms, p95Ms, p99Ms }: DeliveryTimes): string {
  return [`p50 ${formatTime(p50Ms)}`, `p95 ${formatTime(p95Ms)}`, `p99 ${formatTime(p99Ms)}`].join(' · ');
}

function formatTime(ms: number | null): string {
  if (ms === null) return '';
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${(ms / 60_000).toFixed(1)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}
