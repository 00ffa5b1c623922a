import { Option } from 'commander';
import type { EmailDetails, EmailFilter } from '../../../services/emails/emails.ts';
import { emailKinds, emailStates } from '../../../words.ts';
import { type Call, type CliCommand, notEmpty } from '../../session/command.ts';
import { onlyGiven, type PageOptions, type PeriodOptions, periodOf } from '../../session/options.ts';
import { printPages } from '../../session/print-page.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { maskAttempt, maskEmail } from '../../terminal/mask.ts';
import type { Output } from '../../terminal/output.ts';
import { addCancelCommand, whichEmail } from './cancel.ts';
import { addPauseCommands, warnOfPause } from './pause.ts';
import { addTryMailCommands } from './preview-and-test.ts';
import { readMail, type ShownMail } from './read-mail.ts';
import { addResendCommand } from './resend.ts';
import { emailColumns, printEmail } from './screens.ts';

export function addEmailCommands(program: CliCommand): void {
  const emails = program.command('emails').description('Outgoing mail: show, resend, cancel, pause and test it');

  emails
    .command('list')
    .description('List emails, newest first')
    .addOption(new Option('--state <state>', 'only in this state').choices(emailStates))
    .addOption(new Option('--kind <kind>', 'only of this kind').choices(emailKinds))
    .option('--form <slug>', 'only about messages of this form', notEmpty)
    .periodOptions('first queued ')
    .pageOptions()
    .examples(
      'ruffinweb emails list --state failed --since 2d',
      `ruffinweb emails list --state queued --limit 200 --json | jq -r '.items[].id'`,
    )
    .run(listEmails);

  emails
    .command('show')
    .description('Show one email with every attempt to deliver it')
    .argument('<email>', whichEmail)
    .option('--mail', 'print the mail itself, made with the current templates')
    .dataOptions()
    .examples(
      'ruffinweb emails show RW-4K2M9Q7T1X',
      'ruffinweb emails show 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a --mail',
    )
    .run(showEmail);

  addResendCommand(emails);
  addCancelCommand(emails);
  addPauseCommands(emails);
  addTryMailCommands(emails);
}

const loadEmails = () => import('../../../services/emails/emails.ts');

type ListOptions = PageOptions & PeriodOptions & Pick<EmailFilter, 'state' | 'kind' | 'form'>;

async function listEmails(call: Call<ListOptions>): Promise<void> {
  const { deps, options, output } = call;
  const { state, kind, form } = options;
  const filter = { ...periodOf(options), ...onlyGiven({ state, kind, form }) };
  await runInScope(deps, loadEmails, async (scope, { listEmails }) => {
    await warnOfPause(output, scope, options);
    await printPages(call, (page) => listEmails(scope, { ...page, ...filter }), {
      columns: (items) => emailColumns(output, items),
      mask: maskEmail,
      whenEmpty:
        Object.keys(filter).length > 0 || options.cursor
          ? 'No email matches. Leave out a filter to see more.'
          : 'No email yet. Each new message queues a notification; see "ruffinweb messages list".',
    });
  });
}

async function showEmail(call: Call<{ mail?: boolean }>, name: string): Promise<void> {
  const { deps, options, output } = call;
  await runInScope(deps, loadEmails, async (scope, { showEmail }, context) => {
    const { findNamedEmails } = await import('../../../services/emails/find-named-emails.ts');
    const ids = await findNamedEmails(scope, [name]);
    const shown: (EmailDetails & { mail?: ShownMail })[] = [];
    for (const id of ids) {
      const found = await showEmail(scope, id);
      const email = options.mask ? maskDetails(found) : found;
      shown.push(options.mail ? { ...email, mail: await readMail(call, context, scope, email.id) } : email);
    }
    if (shown.some((it) => it.state === 'queued')) await warnOfPause(output, scope, options);
    output.printResult(ids[0] === name ? shown[0] : { items: shown }, () => {
      for (const [index, email] of shown.entries()) {
        if (index > 0) output.print();
        if (email.mail === undefined) printEmail(output, email);
        else printMail(output, email.mail);
      }
    });
  });
}

/** Prints headers and text; the HTML part is only in the JSON, since a terminal cannot show it. */
function printMail(output: Output, { headers, text }: ShownMail): void {
  output.printDetails(headers);
  output.print();
  output.printText(text.trimEnd());
}

function maskDetails(email: EmailDetails): EmailDetails {
  return { ...maskEmail(email), attempts: email.attempts.map(maskAttempt) };
}
