import { Argument, type Command } from 'commander';
import type { Config } from '../../../config/config.ts';
import type { Step } from '../../../mail/mailer.ts';
import type { TestedMail } from '../../../services/emails/show-mail.ts';
import { type EmailKind, emailKinds } from '../../../words.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { openConfig } from '../../session/open-context.ts';
import { addExamples, optionsOf } from '../../session/options.ts';
import type { Deps } from '../../terminal/deps.ts';
import { type DataOptions, Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';

const words: Readonly<Record<Step['step'], string>> = {
  connect: 'connect',
  tls: 'TLS',
  login: 'login',
  mail: 'MAIL',
  rcpt: 'RCPT',
  data: 'DATA',
  accepted: 'accepted',
};

/** What an operator does before there is any mail: look at one, and send one. */
export function addTryMailCommands(emails: Command, deps: Deps): void {
  const preview = emails
    .command('preview')
    .description('Show a mail with made-up content, as the templates in DATA_DIR/templates and ours make it')
    .addArgument(new Argument('<kind>').choices(emailKinds))
    .option('--html <file>', 'write the HTML part to this file instead')
    .option('--json', 'print JSON')
    .action(async (kind: EmailKind, _options, command: Command) => {
      const options = optionsOf<DataOptions & { html?: string }>(command);
      const output = new Output(deps, options);
      const { config } = await openConfig(deps);
      const { openMail } = await import('../../../mailing-context.ts');
      await using way = await openMail(config);
      const mail = way.composer.preview(kind);
      if (options.html !== undefined) {
        const { writeFile } = await import('node:fs/promises');
        await writeFile(options.html, mail.html);
        output.note(`written to ${options.html}: open it in a browser`);
      } else if (options.json) output.printJson({ kind, ...mail });
      else {
        output.printDetails([['Subject', mail.subject]]);
        output.print();
        output.printText(mail.text.trimEnd());
      }
    });
  addExamples(preview, [
    'ruffinweb emails preview notification',
    'ruffinweb emails preview auto-reply --html /tmp/auto-reply.html',
  ]);

  const test = emails
    .command('test')
    .description('Send one mail to the address, past the queue, and say how each step went')
    .requiredOption('--to <address>', 'who gets it')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf<DataOptions & { to: string }>(command);
      const output = new Output(deps, options);
      const { config } = await openConfig(deps);
      const [{ openMail }, { explainBrokenTransport }, { readRecipient }, { testMail }] = await Promise.all([
        import('../../../mailing-context.ts'),
        import('../../../services/delivery/pause.ts'),
        import('../../../services/outbox.ts'),
        import('../../../services/emails/show-mail.ts'),
      ]);
      const to = readRecipient(options.to);
      await using way = await openMail(config);
      if (!options.json) output.note(`to ${to} through ${way.mailer.describes}`);
      const tested = await testMail({ ...way, config, now: () => new Date() }, to, (step) => {
        if (!options.json) printStep(output, step);
      });
      const isOk = tested.outcome.result === 'accepted';
      if (options.json) output.printJson(tested);
      else
        output.note(
          isOk ? verdictGood(config.smtp !== undefined) : verdictBad(tested, config, explainBrokenTransport(config)),
        );
      if (!isOk) deps.setExitCode(exitCode.refused);
    });
  addExamples(test, [
    'ruffinweb emails test --to you@example.com',
    'ruffinweb emails test --to you@example.com --json',
  ]);
}

function printStep(output: Output, { step, isOk, detail }: Step): void {
  const { style } = output;
  const mark = isOk ? style.good('✓') : style.bad('✗');
  output.print(`${mark} ${words[step].padEnd(8)}  ${showSafe(detail)}`);
}

function verdictGood(bySmtp: boolean): string {
  return bySmtp
    ? 'The mail server took it. Look into that mailbox, its spam folder too; "ruffinweb health --deep" looks at SPF, DKIM and DMARC.'
    : 'It was written to a file, since SMTP_HOST is not set.';
}

function verdictBad({ outcome, steps }: TestedMail, { smtp }: Config, noWay: { fact: string; fix: string }): string {
  const isSilent = steps.at(-1)?.step === 'connect' && outcome.code === undefined;
  switch (outcome.result) {
    case 'later':
      return isSilent
        ? `No mail server answers at ${smtp?.host}:${smtp?.port}: check SMTP_HOST and SMTP_PORT, and whether a firewall, or the host of this machine, closes that port. A queued mail would be tried again.`
        : 'The mail server says not now; a queued mail would be tried again.';
    case 'unknown':
      return 'The connection was lost after the final dot: it may have arrived.';
    case 'broken':
      return `No mail can leave, because ${noWay.fact}: ${noWay.fix}.`;
    default:
      return 'The mail server refuses this mail for good; its last words say why.';
  }
}
