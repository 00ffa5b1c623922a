import { setTimeout as pause } from 'node:timers/promises';
import { variable, variableNames } from '../../../config/variables.ts';
import { Problem } from '../../../problems.ts';
import type { Health } from '../../../services/health/health.ts';
import type { HealthStatus } from '../../../services/health/health-check.ts';
import { fixOf } from '../../session/advice.ts';
import { type Call, type CliCommand, wholeNumber } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { openConfig } from '../../session/open-context.ts';
import type { Settings } from '../../terminal/deps.ts';
import type { Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import { wrap } from '../../terminal/table.ts';

export function addHealthCommand(program: CliCommand): void {
  program
    .command('health')
    .description('Check everything that delivery depends on; exits 4 if something fails')
    .option('--deep', 'also SPF, DKIM, DMARC and MX of the From domain, SMTP step by step, ports, and the clock')
    .option('--watch', 'repeat the checks until stopped')
    .option('--every <seconds>', 'with --watch: seconds between checks (default: 10)', wholeNumber(1, 3600))
    .option('--alert-test', 'only send a test to ALERT_URL and ALERT_TO')
    .jsonOption()
    .examples(
      'ruffinweb health --deep',
      'ruffinweb health --watch --every 5',
      'ruffinweb health --alert-test',
      `ruffinweb health --json | jq -r '.checks[] | select(.status != "ok") | .fact'`,
    )
    .run(checkHealth);
}

interface HealthOptions {
  deep?: boolean;
  watch?: boolean;
  every?: number;
  alertTest?: boolean;
}

async function checkHealth(call: Call<HealthOptions>): Promise<void> {
  const { deps, options, output } = call;
  const { deep = false, watch, every, json, alertTest } = options;
  if (alertTest && (deep || watch)) throw new Problem('argument-invalid', '--alert-test checks nothing else');
  if (every !== undefined && !watch) throw new Problem('argument-invalid', '--every needs --watch');
  if (alertTest) return await (await import('./alert-test.ts')).testAlerts(call);
  const { config, log } = await openConfig(deps);
  const [{ openHealthParts }, { checkHealth }] = await Promise.all([
    import('./open-parts.ts'),
    import('../../../services/health/health.ts'),
  ]);
  const secretFiles = secretFilesOf(deps.readSettings());
  const stop = watch ? deps.stopGently() : undefined;
  for (;;) {
    // Opened again each time, so that a part that was missing is found when it is back.
    await using parts = await openHealthParts(config, log, secretFiles);
    const health = addCommands(await checkHealth(parts, { deep }));
    if (stop && deps.stdout.isTTY && !json) output.print(clearScreen);
    output.printResult(health, () => printHealth(output, health));
    deps.setExitCode(health.status === 'fail' ? exitCode.unhealthy : exitCode.done);
    if (stop === undefined || stop.aborted) return;
    if (!json) output.note(`\nchecked at ${output.exactTime(new Date()).slice(11)}; Ctrl-C stops`);
    await pause((every ?? 10) * 1000, undefined, { signal: stop }).catch(() => {});
    if (stop.aborted) return;
  }
}

/** The files that settings with secrets came from. */
function secretFilesOf({ file, values, sourceOf }: Settings): string[] {
  const secrets = variableNames.filter((name) => variable(name).secret);
  const own = secrets.filter((name) => sourceOf(name) === 'file').map((name) => values[`${name}_FILE`] ?? '');
  return secrets.some((name) => sourceOf(name) === '.env') ? [...own, file] : own;
}

const clearScreen = '\u001b[2J\u001b[H\u001b[A';

/** Adds the commands that the checks advise to their fixes. */
function addCommands({ status, checks }: Health): Health {
  return { status, checks: checks.map((it) => ({ name: it.name, status: it.status, fact: it.fact, fix: fixOf(it) })) };
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
