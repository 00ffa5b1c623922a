import type { Stats } from '../../services/health/stats.ts';
import { type Call, type CliCommand, notEmpty, wholeNumber } from '../session/command.ts';
import { onlyGiven } from '../session/options.ts';
import { runInScope } from '../session/run-in-scope.ts';
import { type Output, plural } from '../terminal/output.ts';
import { dayBefore } from '../terminal/times.ts';

interface StatsOptions {
  days: number;
  form?: string;
}

export function addStatsCommand(program: CliCommand): void {
  program
    .command('stats')
    .description('Show messages per day in your time zone, how many were held, and how long delivery takes')
    .option('--days <number>', 'how many days including today, up to 366', wholeNumber(1, 366), 14)
    .option('--form <slug>', 'only of this form', notEmpty)
    .option('--json', 'print JSON, with days in UTC')
    .examples('ruffinweb stats --days 30', `ruffinweb stats --json | jq '.delivery.p95Ms'`)
    .run(showStats);
}

async function showStats({ deps, options, output }: Call<StatsOptions>): Promise<void> {
  const isUtc = options.utc || options.json;
  const now = new Date();
  const days = Array.from({ length: options.days }, (_, ago) => dayBefore(now, ago, isUtc));
  const request = { days, ...onlyGiven({ form: options.form }) };
  const load = () => import('../../services/health/stats.ts');
  const stats = await runInScope(deps, load, (scope, { readStats }) => readStats(scope, request));
  output.printResult(stats, () => {
    if (stats.messages > 0 || stats.delivery.emails > 0) printStats(output, stats);
    else output.note(`No message in the last ${plural(options.days, 'day')}. To see more: ruffinweb stats --days 366`);
  });
}

const maxBarWidth = 60;

/** The maximum width of the other columns. */
const widthBesideBar = 58;

function printStats(output: Output, { days, messages, held, heldShare, delivery, hookDeliveries }: Stats): void {
  const { style } = output;
  const share = heldShare === null ? '' : ` (${(heldShare * 100).toFixed(heldShare < 0.1 ? 1 : 0)} %)`;
  output.print(`${plural(messages, 'message')}, ${held} held${share}`);
  const times = `half within ${formatTime(delivery.p50Ms)}, 95 % within ${formatTime(delivery.p95Ms)}`;
  output.print(`${plural(delivery.emails, 'email')} delivered${delivery.emails > 0 ? `: ${times}` : ''}`);
  if (hookDeliveries > 0) output.print(`${hookDeliveries} delivered to hooks`);
  output.print();

  const maxMessages = Math.max(...days.map((it) => it.messages), 1);
  const room = Math.max(8, Math.min(maxBarWidth, output.width - widthBesideBar));
  output.printTable(days, [
    { header: 'DAY', text: (it) => it.day, style: style.dim },
    { header: 'MESSAGES', text: (it) => String(it.messages), align: 'right' },
    { header: '', text: (it) => '█'.repeat(Math.ceil((it.messages / maxMessages) * room)), style: style.good, omit: 1 },
    { header: 'HELD', text: (it) => (it.held > 0 ? String(it.held) : ''), align: 'right', style: style.warning },
    ...quantiles.map((quantile) => ({
      header: quantile.toUpperCase(),
      text: (it: Stats['days'][number]) => formatTime(it.delivery[`${quantile}Ms`]),
      align: 'right' as const,
    })),
  ]);
}

const quantiles = ['p50', 'p95', 'p99'] as const;

function formatTime(ms: number | null): string {
  if (ms === null) return '';
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${(ms / 60_000).toFixed(1)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}
