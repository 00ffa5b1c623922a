import { Argument, Option } from 'commander';
import type { Config } from '../../../config/config.ts';
import type { Step } from '../../../mail/mailer.ts';
import type { PreviewKind } from '../../../services/emails/preview-mail.ts';
import type { TestedMail } from '../../../services/emails/show-mail.ts';
import { emailKinds, type Language, languages } from '../../../words.ts';
import { type Call, type CliCommand, notEmpty } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { openConfig } from '../../session/open-context.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import type { Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';

/** Commands that need no stored mail: show a sample, and send a test. A digest is a notification with templates of its own; a reply has none. */
const previewKinds: readonly PreviewKind[] = [...emailKinds.filter((it) => it !== 'reply'), 'digest'];

export function addTryMailCommands(emails: CliCommand): void {
  emails
    .command('preview')
    .description('Show a sample mail, made with your templates in DATA_DIR/templates or the built-in ones')
    .addArgument(new Argument('<kind>').choices(previewKinds))
    .option('--form <slug>', 'with the templates, words and labels of this form', notEmpty)
    .addOption(new Option('--language <language>', 'of an auto-reply or notification').choices(languages))
    .option('--html <file>', 'write the HTML part to this file instead')
    .jsonOption()
    .examples(
      'ruffinweb emails preview notification',
      'ruffinweb emails preview auto-reply --form shop --language de',
      'ruffinweb emails preview auto-reply --html /tmp/auto-reply.html',
    )
    .run(previewSample);

  emails
    .command('test')
    .description('Send one mail without the queue, and report each step')
    .requiredOption('--to <address>', 'the recipient')
    .jsonOption()
    .examples('ruffinweb emails test --to you@example.com', 'ruffinweb emails test --to you@example.com --json')
    .run(testMailing);
}

const loadForms = () => import('../../../services/forms/form-settings.ts');

type PreviewOptions = { html?: string; form?: string; language?: Language };

async function previewSample({ deps, options, output }: Call<PreviewOptions>, kind: PreviewKind): Promise<void> {
  const { config } = await openConfig(deps);
  const { form: slug, language } = options;
  const form =
    slug === undefined ? {} : await runInScope(deps, loadForms, (scope, { showForm }) => showForm(scope, slug));
  const [{ openMail }, { previewMail }] = await Promise.all([
    import('../../../mailing-context.ts'),
    import('../../../services/emails/preview-mail.ts'),
  ]);
  await using mailing = await openMail(config);
  const mail = previewMail({ ...mailing, config }, kind, { ...form, ...(language && { language }) });
  if (options.html !== undefined) {
    const { writeFile } = await import('node:fs/promises');
    await writeFile(options.html, mail.html);
    output.note(`written to ${options.html}: open it in a browser`);
    return;
  }
  const { subject, text, html } = mail;
  output.printResult({ kind, subject, text, html }, () => {
    output.printDetails([['Subject', mail.subject]]);
    output.print();
    output.printText(mail.text.trimEnd());
  });
  if (kind === 'held-summary' && !config.hasPublicUrl) output.note('\nIt has these links once PUBLIC_URL is set.');
}

async function testMailing({ deps, options, output }: Call<{ to: string }>): Promise<void> {
  const { config } = await openConfig(deps);
  const [{ openMail }, { explainBrokenTransport }, { readRecipient }, { testMail }] = await Promise.all([
    import('../../../mailing-context.ts'),
    import('../../../services/delivery/pause/pause.ts'),
    import('../../../services/outbox.ts'),
    import('../../../services/emails/show-mail.ts'),
  ]);
  const to = readRecipient(options.to);
  await using mailing = await openMail(config);
  if (!options.json) output.note(`to ${to} through ${mailing.mailer.describes}`);
  const tested = await testMail({ ...mailing, config, now: () => new Date() }, to, (step) => {
    if (!options.json) printStep(output, step);
  });
  const isOk = tested.outcome.result === 'accepted';
  output.printResult(tested, () =>
    output.note(isOk ? explainSuccess(config) : explainFailure(tested, config, explainBrokenTransport(config))),
  );
  if (!isOk) deps.setExitCode(exitCode.refused);
}

const stepWords: Readonly<Record<Step['step'], string>> = {
  connect: 'connect',
  tls: 'TLS',
  login: 'login',
  mail: 'MAIL',
  rcpt: 'RCPT',
  data: 'DATA',
  accepted: 'accepted',
};

function printStep(output: Output, { step, isOk, detail }: Step): void {
  const { style } = output;
  const mark = isOk ? style.good('✓') : style.bad('✗');
  output.print(`${mark} ${stepWords[step].padEnd(8)}  ${showSafe(detail)}`);
}

function explainSuccess({ smtp }: Config): string {
  return smtp === undefined
    ? 'It was written to a file, since SMTP_HOST is not set.'
    : 'The mail server accepted it. Look into that mailbox and its spam folder; "ruffinweb health --deep" checks SPF, DKIM and DMARC.';
}

function explainFailure(
  { outcome, steps }: TestedMail,
  { smtp }: Config,
  brokenTransport: { fact: string; fix: string },
): string {
  const isSilent = steps.at(-1)?.step === 'connect' && outcome.code === undefined;
  switch (outcome.result) {
    case 'later':
    case 'away':
      return isSilent
        ? `No mail server answers at ${smtp?.host}:${smtp?.port}: check SMTP_HOST and SMTP_PORT, and whether a firewall or the hosting provider blocks that port. A queued mail would be retried.`
        : 'The mail server says not now; a queued mail would be retried.';
    case 'unknown':
      return 'The connection was lost after the final dot: the mail may have arrived.';
    case 'broken':
      return `No mail can be sent, because ${brokenTransport.fact}: ${brokenTransport.fix}.`;
    default:
      return 'The mail server refuses this mail for good; its last reply says why.';
  }
}
