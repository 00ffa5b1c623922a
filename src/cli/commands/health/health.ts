import { setTimeout as pause } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { Problem } from '../../../problems.ts';
import type { Health } from '../../../services/health/health.ts';
import type { HealthStatus } from '../../../services/health/health-check.ts';
import { fixOf } from '../../session/advice.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { openConfig } from '../../session/open-context.ts';
import { addExamples, optionsOf } from '../../session/options.ts';
import type { Deps } from '../../terminal/deps.ts';
import { type DataOptions, Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import { wrap } from '../../terminal/table.ts';

export function addHealthCommand(program: Command, deps: Deps): void {
  const health = program
    .command('health')
    .description('Look at everything that delivering depends on; exits 4 when something fails')
    .option('--deep', 'also SPF, DKIM, DMARC and MX of the From domain, SMTP step by step, ports, and the clock')
    .option('--watch', 'look again and again, until stopped')
    .option('--every <seconds>', 'with --watch: how often (10)', readSeconds)
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf<HealthOptions>(command);
      if (options.every !== undefined && !options.watch) throw new Problem('argument-invalid', '--every needs --watch');
      const output = new Output(deps, options);
      const { config, log } = await openConfig(deps);
      const [{ openHealthParts }, { checkHealth }] = await Promise.all([
        import('./open-parts.ts'),
        import('../../../services/health/health.ts'),
      ]);
      const stop = options.watch ? deps.stopGently() : undefined;
      for (;;) {
        // Opened again each time: a part that was missing may be there now.
        await using parts = await openHealthParts(config, log);
        const found = wordHealth(await checkHealth(parts, { deep: options.deep ?? false }));
        if (stop && deps.stdout.isTTY && !options.json) output.print('\u001b[2J\u001b[H\u001b[A');
        if (options.json) output.printJson(found);
        else printHealth(output, found);
        deps.setExitCode(found.status === 'fail' ? exitCode.unhealthy : exitCode.done);
        if (stop === undefined || stop.aborted) return;
        if (!options.json) output.note(`\nlooked at ${new Date().toISOString().slice(11, 19)} UTC, Ctrl-C ends`);
        await pause((options.every ?? 10) * 1000, undefined, { signal: stop }).catch(() => {});
        if (stop.aborted) return;
      }
    });
  addExamples(health, [
    'ruffinweb health --deep',
    'ruffinweb health --watch --every 5',
    `ruffinweb health --json | jq -r '.checks[] | select(.status != "ok") | .fact'`,
  ]);
}

/** With the commands that the checks advise. */
function wordHealth({ status, checks }: Health): Health {
  return { status, checks: checks.map((it) => ({ name: it.name, status: it.status, fact: it.fact, fix: fixOf(it) })) };
}

interface HealthOptions extends DataOptions {
  deep?: boolean;
  watch?: boolean;
  every?: number;
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 1 && seconds <= 3600)) throw new InvalidArgumentError('It must be from 1 to 3600.');
  return seconds;
}

const marks: Readonly<Record<HealthStatus, string>> = { ok: '✓ ok', warn: '! warn', fail: '✗ fail' };

function printHealth(output: Output, health: Health): void {
  const { style } = output;
  const paint = { ok: style.good, warn: style.warning, fail: style.bad };
  const nameWidth = Math.max(...health.checks.map((it) => it.name.length));
  const indent = ' '.repeat(8 + nameWidth + 2);
  for (const { name, status, fact, fix } of health.checks) {
    const [first, ...others] = linesOf(fact, output.width - indent.length);
    output.print(`${paint[status](marks[status].padEnd(8))}${name.padEnd(nameWidth)}  ${first}`);
    for (const line of others) output.print(indent + line);
    if (fix === null) continue;
    for (const [index, line] of linesOf(fix, output.width - indent.length - 2).entries()) {
      output.print(`${indent}${index === 0 ? style.bold('→') : ' '} ${line}`);
    }
  }
}

function linesOf(text: string, width: number): string[] {
  return wrap(showSafe(text), Math.max(20, width));
}
