import { type Command, Option } from 'commander';
import type { Context } from '../../../context.ts';
import type { EmailDetails, EmailFilter } from '../../../services/emails/emails.ts';
import { emailKinds, emailStates } from '../../../words.ts';
import {
  addDataOptions,
  addExamples,
  addPageOptions,
  addPeriodOptions,
  type ListOptions,
  optionsOf,
  type PeriodOptions,
  pageOf,
  periodOf,
} from '../../session/options.ts';
import { mapPage, printPage } from '../../session/print-page.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import type { Deps } from '../../terminal/deps.ts';
import { maskEmail, maskHtml, maskText } from '../../terminal/mask.ts';
import { type DataOptions, Output } from '../../terminal/output.ts';
import { addCancelCommand } from './cancel.ts';
import { addPauseCommands, warnOfPause } from './pause.ts';
import { addTryMailCommands } from './preview-and-test.ts';
import { addResendCommand } from './resend.ts';
import { emailColumns, printEmail } from './screens.ts';

type EmailListOptions = ListOptions & PeriodOptions & Omit<EmailFilter, 'since' | 'until'>;

export function addEmailCommands(program: Command, deps: Deps): void {
  const emails = program.command('emails').description('Outgoing mail: look at it, send it again');

  const list = emails
    .command('list')
    .description('List emails, the newest first')
    .addOption(new Option('--state <state>', 'in this state').choices(emailStates))
    .addOption(new Option('--kind <kind>', 'of this kind').choices(emailKinds))
    .option('--form <slug>', 'of messages of this form')
    .action(async (_options, command: Command) => {
      const options = optionsOf<EmailListOptions>(command);
      const output = new Output(deps, options);
      const period = periodOf(options, new Date());
      const { state, kind, form } = options;
      const filter = { ...period, ...(state && { state }), ...(kind && { kind }), ...(form && { form }) };
      const page = await runInScope(deps, loadEmails, async (scope, { listEmails }) => {
        const found = await listEmails(scope, { ...pageOf(options), ...filter });
        await warnOfPause(output, scope, options);
        return found;
      });
      printPage(
        output,
        options,
        options.mask ? mapPage(page, maskEmail) : page,
        emailColumns(output, page.items),
        Object.keys(filter).length > 0 || options.cursor
          ? 'No email matches. Leave a filter out to see more.'
          : 'No email yet. Each message that is posted queues one to you; see "ruffinweb messages list".',
      );
    });
  addPageOptions(addPeriodOptions(list, 'first queued '));
  addExamples(list, [
    'ruffinweb emails list --state failed --since 2d',
    `ruffinweb emails list --state queued --limit 200 --json | jq -r '.items[].id'`,
  ]);

  const show = emails
    .command('show')
    .description('Show one email with every try to deliver it')
    .argument('<id>', 'as shown by "emails list"')
    .option('--mail', 'print the mail itself, as it is sent with the templates of today')
    .action(async (id: string, _options, command: Command) => {
      const options = optionsOf<DataOptions & { mail?: boolean }>(command);
      const output = new Output(deps, options);
      await runInScope(deps, loadEmails, async (scope, { showEmail }, context) => {
        const found = await showEmail(scope, id);
        const email = options.mask ? maskDetails(found) : found;
        if (options.mail) await printMail(output, options, context, email);
        else if (options.json) output.printJson(email);
        else printEmail(output, email);
      });
    });
  addDataOptions(show);
  addExamples(show, [
    'ruffinweb emails show 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a',
    'ruffinweb emails show 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a --mail',
  ]);

  addResendCommand(emails, deps);
  addCancelCommand(emails, deps);
  addPauseCommands(emails, deps);
  addTryMailCommands(emails, deps);
}

const loadEmails = () => import('../../../services/emails/emails.ts');

/** Headers and text as they are sent; the HTML part, which a terminal cannot show, only as JSON. */
async function printMail(output: Output, options: DataOptions, context: Context, email: EmailDetails): Promise<void> {
  const [{ openMail }, { showMail }] = await Promise.all([
    import('../../../mailing-context.ts'),
    import('../../../services/emails/show-mail.ts'),
  ]);
  await using way = await openMail(context.config);
  const mail = await showMail({ ...context, composer: way.composer }, email.id);
  const hide = (text: string) => (options.mask ? maskText(text, mail.senderName) : text);
  const headers = mail.headers.map(([name, value]): [string, string] => [name, hide(value)]);
  const [text, html] = [hide(mail.text), options.mask ? maskHtml(mail.html, mail.senderName) : mail.html];
  if (options.json) {
    output.printJson({ ...email, mail: { headers, text, html } });
    return;
  }
  output.printDetails(headers);
  output.print();
  output.printText(text.trimEnd());
}

function maskDetails(email: EmailDetails): EmailDetails {
  const attempts = email.attempts.map((it) => ({ ...it, reply: it.reply && maskText(it.reply) }));
  return { ...maskEmail(email), attempts };
}
