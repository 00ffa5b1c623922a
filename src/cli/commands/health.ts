import type { Command } from 'commander';
import type { Health, HealthStatus } from '../../services/health.ts';
import type { Deps } from '../deps.ts';
import { exitCode } from '../exit-codes.ts';
import { addExamples, optionsOf } from '../options.ts';
import { Output } from '../output.ts';
import { showSafe } from '../safe-text.ts';
import { openConfig } from '../session.ts';
import { wrap } from '../table.ts';

export function addHealthCommand(program: Command, deps: Deps): void {
  const health = program
    .command('health')
    .description('Look at everything that delivering depends on; exits 4 when something fails')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      const { config, log } = await openConfig(deps);
      const [{ openHealthParts }, { checkHealth }] = await Promise.all([
        import('../health-parts.ts'),
        import('../../services/health.ts'),
      ]);
      await using parts = await openHealthParts(config, log);
      const found = await checkHealth(parts);
      if (options.json) output.printJson(found);
      else printHealth(output, found);
      if (found.status === 'fail') deps.setExitCode(exitCode.unhealthy);
    });
  addExamples(health, [
    'ruffinweb health',
    `ruffinweb health --json | jq -r '.checks[] | select(.status != "ok") | .fact'`,
  ]);
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
