import { createHookSender } from '../../../hooks/https-sender.ts';
import { openMailer } from '../../../mailing-context.ts';
import { Problem } from '../../../problems.ts';
import { tellOperator } from '../../../services/alerts/tell.ts';
import type { Call } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { openConfig } from '../../session/open-context.ts';
import { showSafe } from '../../terminal/safe-text.ts';

/** Needs no database, so it works while that is away. */
export async function testAlerts({ deps, output }: Call): Promise<void> {
  const { config } = await openConfig(deps);
  await using mailer = await openMailer(config);
  const hookSender = createHookSender({ allowHosts: config.hookAllowHosts });
  const parts = { config, mailer, hookSender, now: () => new Date() };
  const answers = await tellOperator(parts, { title: 'a test of alerts', lines: ['Nothing is wrong.'] });
  if (answers.length === 0) throw new Problem('argument-invalid', 'set ALERT_URL or ALERT_TO first');
  output.printResult(answers, () => {
    for (const { from, isTaken, said } of answers) output.print(`${isTaken ? '✓' : '✗'} ${from}: ${showSafe(said)}`);
  });
  deps.setExitCode(answers.every((it) => it.isTaken) ? exitCode.done : exitCode.unhealthy);
}
