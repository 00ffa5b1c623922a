import { buffer } from 'node:stream/consumers';
import type { Context } from '../../../context.ts';
import type { Replied } from '../../../services/emails/queue-reply.ts';
import type { MessageDetails } from '../../../services/messages/messages.ts';
import type { Scope } from '../../../services/scope.ts';
import { decodeText, readTextFile } from '../../../text-file.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { unopened } from '../../session/print-page.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { isInteractive } from '../../terminal/confirm.ts';
import { maskAddress, maskMessage } from '../../terminal/mask.ts';
import type { Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import { warnOfPause } from '../emails/pause.ts';
import { readMail } from '../emails/read-mail.ts';
import { whichMessage } from './change.ts';

interface ReplyOptions {
  textFile?: string;
  copy: boolean;
  again?: boolean;
}

export function addReplyCommand(messages: CliCommand): void {
  messages
    .command('reply')
    .description('Answer a message by mail: write in $VISUAL or $EDITOR, or give the text on stdin')
    .argument('<message>', whichMessage)
    .option('--text-file <file>', 'the text of the reply, in UTF-8')
    .option('--no-copy', 'no copy for the owners of the form')
    .option('--again', 'also if the same text was sent before')
    .option('--dry-run', 'only print the mail')
    .option('--yes', 'also to a sender who is blocked or was erased')
    .dataOptions()
    .examples(
      'ruffinweb messages reply RW-4K2M9Q7T1X',
      'ruffinweb messages reply RW-4K2M9Q7T1X --text-file answer.txt --dry-run',
      'echo "Yes, we are open." | ruffinweb messages reply RW-4K2M9Q7T1X --no-copy',
    )
    .run(reply);
}

const loadMessages = () => import('../../../services/messages/messages.ts');
const loadNames = () => import('../../../services/find-named.ts');
const loadReply = () => import('../../../services/emails/queue-reply.ts');

async function reply(call: Call<ReplyOptions>, which: string): Promise<void> {
  const { deps, options, output } = call;
  if (options.textFile !== undefined || !isInteractive(deps)) {
    await send(call, which, await readGiven(call));
    return;
  }
  const found = await runInScope(deps, loadReply, async (scope, { findAnswerable }) => {
    const { id } = await (await loadNames()).findNamedMessage(scope, which);
    await findAnswerable(scope, id, options.yes ?? false);
    return await (await loadMessages()).showMessage(scope, id);
  });
  const { id, receipt } = found;
  const whenKept = (path: string) =>
    `Your text is kept in ${path}\nTo send it: ruffinweb messages reply ${receipt} --text-file ${path}`;
  const below = describeMessage(output, options.mask ? maskMessage(found) : found);
  const { editText } = await import('./edit-text.ts');
  await editText(deps, { fileName: `reply-${receipt}.txt`, below, whenKept }, (text) => send(call, id, text));
}

/** From the file or from stdin. @throws {TextFileFault} */
async function readGiven({ deps, options }: Call<ReplyOptions>): Promise<string> {
  return options.textFile === undefined
    ? decodeText(await buffer(deps.stdin), 'stdin')
    : readTextFile(options.textFile);
}

/** What the operator answers, for the lower part of the file in the editor. */
function describeMessage(
  output: Output,
  { email, name, subject, message, receivedAt, emails }: MessageDetails,
): string {
  const answeredAt = emails.findLast((it) => it.text !== undefined)?.createdAt;
  const lines = [
    '# Write the reply above that line. Nothing from that line on is sent.',
    '# Saving sends it; leave it empty to send nothing.',
    ...(answeredAt === undefined ? [] : [`# This message was answered before: ${output.timeInFull(answeredAt)}`]),
    `# ${name === null ? '' : `${name}, `}${email} wrote, ${output.timeInFull(receivedAt)}:`,
    ...`${subject === null ? '' : `${subject}\n\n`}${message ?? unopened}`.split(/\r?\n/).map((it) => `> ${it}`),
  ];
  return lines.map((it) => showSafe(it)).join('\n');
}

/** Queues the reply, or prints it in a dry run. @returns whether it is stored. */
async function send(call: Call<ReplyOptions>, which: string, text: string): Promise<boolean> {
  const { deps, options, output } = call;
  const { copy, yes = false, again = false, dryRun = false } = options;
  return await runInScope(deps, loadReply, async (scope, { queueReply }, context) => {
    const { id } = await (await loadNames()).findNamedMessage(scope, which);
    const replied = await queueReply(scope, id, { text, copy, evenSo: yes, again, dryRun });
    if (dryRun && !replied.isRepeat) await preview(call, context, scope, replied);
    else report(call, replied);
    await warnOfPause(output, scope, options);
    return !dryRun || replied.isRepeat;
  });
}

function report({ options, output }: Call<ReplyOptions>, { receipt, email, isRepeat, ...replied }: Replied): void {
  const hide = (it: string) => (options.mask ? maskAddress(it) : it);
  const [to, copyTo] = [hide(replied.to), replied.copyTo.map(hide)];
  const result = isRepeat ? 'already-queued' : 'queued';
  output.printResult({ result, id: email.id, state: email.state, receipt, to, copyTo }, () => {
    const copies = copyTo.length > 0 ? `, with a copy to ${copyTo.join(', ')}` : '';
    if (!isRepeat) {
      output.print(`reply to ${to} queued${copies}`);
      output.note(`See whether it left: ruffinweb emails show ${receipt}`);
    } else output.print(`the same reply was written before (${email.state}): pass --again to send it twice`);
  });
}

const shownHeaders = ['From', 'To', 'Reply-To', 'Subject'];

async function preview(call: Call, context: Context, scope: Scope, { email, copyTo }: Replied): Promise<void> {
  const { options, output } = call;
  const mail = await readMail(call, context, scope, email);
  const headers = mail.headers.filter(([name]) => shownHeaders.includes(name));
  const copies = options.mask ? copyTo.map(maskAddress) : copyTo;
  output.printResult({ dryRun: true, mail: { headers, text: mail.text }, copyTo: copies }, () => {
    output.printDetails([...headers, ['(copy to)', copies.join(', ') || null]]);
    output.print();
    output.printText(mail.text.trimEnd());
  });
}
