import type { EmailDetails } from '../../../services/emails/emails.ts';
import type { EmailView } from '../../../services/views.ts';
import { unopened } from '../../session/print-page.ts';
import type { Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import type { Column } from '../../terminal/table.ts';
import { textWidth } from '../../terminal/text-width.ts';

/** @param rows what will be shown: a reason is given room only where there is one. */
export function emailColumns(output: Output, rows: readonly EmailView[] = []): Column<EmailView>[] {
  const { style } = output;
  const failure: Column<EmailView> = {
    header: 'REASON',
    text: (it) => it.failure ?? '',
    style: style.bad,
    least: 8,
    omit: 3,
  };
  return [
    { header: 'ID', text: (it) => it.id },
    { header: 'STATE', text: stateOf, style: (text, it) => paintState(output, it)(text) },
    ...(rows.some((it) => it.failure !== null) ? [failure] : []),
    { header: 'WHEN', text: (it) => whenOf(output, it), omit: 1 },
    {
      header: 'TO',
      text: (it) => it.to ?? unopened,
      style: (text, it) => (it.to === null ? style.bad(text) : text),
      // With a reason and "due in 4 min" beside it, all of that stands in 80 columns.
      least: 10,
      omit: 2,
    },
    { header: 'KIND', text: (it) => it.kind, omit: 5 },
    { header: 'RECEIPT', text: (it) => it.receipt ?? '', omit: 6 },
    { header: 'TRIES', text: (it) => String(it.tries), align: 'right', omit: 7 },
    { header: 'FORM', text: (it) => it.form ?? '', least: 7, omit: 8 },
  ];
}

function stateOf(email: EmailView): string {
  return email.state === 'queued' && email.leased ? 'sending' : email.state;
}

function paintState({ style }: Output, email: EmailView): (text: string) => string {
  if (email.state === 'sent') return style.good;
  if (email.state === 'failed') return style.bad;
  return email.state === 'queued' ? style.warning : style.dim;
}

/** When it was sent, when it is due, or when it was made. */
function whenOf(output: Output, email: EmailView): string {
  if (email.state === 'queued') return email.leased ? 'now' : `due ${output.time(email.dueAt)}`;
  return output.time(email.sentAt ?? email.createdAt);
}

export function printEmail(output: Output, email: EmailDetails): void {
  const { style } = output;
  const queued = email.state === 'queued' && !email.leased;
  output.printDetails([
    ['id', email.id, style.bold],
    ['state', stateOf(email), paintState(output, email)],
    ['reason', email.failure && describeFailure(email), style.bad],
    ['to', email.to ?? unopened, email.to === null ? style.bad : undefined],
    ['kind', email.kind],
    ['form', email.form],
    ['message', email.receipt],
    ['created', output.timeInFull(email.createdAt)],
    ['due', queued ? output.timeInFull(email.dueAt) : null],
    ['sent', email.sentAt && output.timeInFull(email.sentAt)],
    ['tries', String(email.tries)],
    ['resend of', email.resendOf],
  ]);
  output.print();
  if (email.attempts.length === 0) output.note('Not tried yet.');
  else {
    output.printTable(email.attempts, [
      { header: 'TRIED', text: (it) => output.time(it.finishedAt) },
      {
        header: 'OUTCOME',
        text: (it) => it.outcome,
        style: (text, it) => (it.outcome === 'accepted' ? style.good(text) : style.bad(text)),
      },
      { header: 'CODE', text: (it) => String(it.code ?? ''), align: 'right' },
      { header: 'TOOK', text: tookOf, align: 'right', omit: 1 },
      {
        header: 'REPLY',
        text: (it) => it.reply ?? (it.startedAt === null ? '(its worker was lost)' : unopened),
        least: 20,
      },
    ]);
    printWholeReply(output, email.attempts.at(-1)?.reply ?? '');
  }
  if (queued && email.tries > 0) output.note(`\nDo not wait: ruffinweb emails resend ${email.id}`);
  if (email.state === 'cancelled' && email.failure === 'too-late') {
    output.note(`\nSend it all the same: ruffinweb emails resend ${email.id} --again`);
  }
  if (email.state === 'failed')
    output.note(`\nSend it again: ruffinweb emails resend ${email.id}${needsAgain(email) ? ' --again' : ''}`);
}

/** What the mail server said last, where the table had to cut it. */
function printWholeReply(output: Output, reply: string): void {
  if (textWidth(showSafe(reply)) <= output.width - widthBeforeReply) return;
  output.print();
  output.printText(reply);
}

/** As much as the other columns may take: a reply that would have fitted is printed twice, none is left cut. */
const widthBeforeReply = '59 min ago  accepted  CODE  999 ms  '.length;

/** After an auto-reply with an unknown outcome; see `resendEmails`. */
function needsAgain(email: EmailView): boolean {
  return email.kind === 'auto-reply' && email.failure === 'outcome-unknown';
}

function describeFailure({ failure }: EmailView): string {
  switch (failure) {
    case 'refused':
      return 'refused: the mail server does not take it';
    case 'schedule-ended':
      return 'schedule-ended: not delivered within three days of tries';
    case 'outcome-unknown':
      return 'outcome-unknown: it may have arrived, and nobody can tell';
    case 'unwanted':
      return 'unwanted: its recipient wants no auto-reply, or is blocked';
    case 'too-late':
      return 'too-late: it waited for more than a day, and no auto-reply comes so late';
    case 'nothing-held':
      return 'nothing-held: the messages that it would have listed were released or deleted';
    case null:
      return '';
  }
}

function tookOf(attempt: EmailDetails['attempts'][number]): string {
  if (attempt.startedAt === null) return '';
  const ms = Date.parse(attempt.finishedAt) - Date.parse(attempt.startedAt);
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}
