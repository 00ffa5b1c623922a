import type { DescribedEmail } from '../../../services/emails/describe-emails.ts';
import type { EmailDetails } from '../../../services/emails/emails.ts';
import type { Resent } from '../../../services/emails/resend-one.ts';
import type { EmailView } from '../../../services/views.ts';
import { atMostOnceKinds, type FailureReason } from '../../../words.ts';
import { unopened } from '../../session/print-page.ts';
import { maskText } from '../../terminal/mask.ts';
import type { CommonOptions, Fact, Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import type { Column } from '../../terminal/table.ts';
import { textWidth } from '../../terminal/text-width.ts';

/** @param rows the rows to show; reasons have a column only if there is one. */
export function emailColumns(output: Output, rows: readonly EmailView[] = []): Column<EmailView>[] {
  const { style } = output;
  return [
    {
      header: 'TO',
      text: (it) => it.to ?? unopened,
      style: (text, it) => (it.to === null ? style.bad(text) : text),
      // Narrow enough for 80 columns together with a reason and "due in 4 min".
      minWidth: 16,
    },
    { header: 'KIND', text: (it) => it.kind, omit: 2 },
    // A summary is not about one message, and on a narrow terminal there is no ID.
    { header: 'RECEIPT', text: (it) => it.receipt ?? it.id },
    ...jobColumns(output, rows),
    { header: 'FORM', text: (it) => it.form ?? '', minWidth: 7, omit: 8 },
    idColumn,
  ];
}

/** An email, or a hook's delivery. */
type Job = Pick<EmailView, 'state' | 'leased' | 'dueAt' | 'createdAt' | 'sentAt' | 'failure' | 'tries'>;

/** How far each one is. */
export function jobColumns<Row extends Job>(output: Output, rows: readonly Row[]): Column<Row>[] {
  const failure: Column<Row> = {
    header: 'REASON',
    text: (it) => it.failure ?? '',
    style: output.style.bad,
    minWidth: 8,
    omit: 3,
  };
  return [
    { header: 'STATE', text: stateOf, style: (text, it) => paintState(output, it)(text) },
    { header: 'WHEN', text: (it) => whenOf(output, it), omit: 1 },
    ...(rows.some((it) => it.failure !== null) ? [failure] : []),
    { header: 'TRIES', text: (it) => String(it.tries), align: 'right', omit: 7 },
  ];
}

export const idColumn = { header: 'ID', text: ({ id }: { id: string }) => id, omit: 6 };

/** Emails by id. */
export type Described = ReadonlyMap<string, DescribedEmail>;

/** Columns about the email that a result is about. One that does not exist is named as it was typed. */
export function aboutColumns(about: Described, { mask }: Pick<CommonOptions, 'mask'>): Column<{ id: string }>[] {
  const of = (row: { id: string }) => about.get(row.id);
  const hide = (text: string) => (mask ? maskText(text) : text);
  return [
    { header: 'TO', text: (it) => hide(of(it)?.to ?? ''), minWidth: 12, omit: 2 },
    { header: 'KIND', text: (it) => of(it)?.kind ?? '', omit: 4 },
    { header: 'RECEIPT', text: (it) => (of(it) === undefined ? it.id : (of(it)?.receipt ?? '')) },
    { header: 'LAST ERROR', text: (it) => hide(of(it)?.lastError ?? ''), minWidth: 12, omit: 3 },
  ];
}

/** An email that a mail server refused for good will meet the same answer. */
export function warnOfRefused(output: Output, items: readonly Resent[], about: Described): void {
  const codes = items.flatMap((it) => (it.result === 'queued' ? (about.get(it.id)?.refusedWith ?? []) : []));
  if (codes.length === 0) return;
  const were = codes.length === 1 ? 'was' : 'were';
  const which = [...new Set(codes)].sort().join(', ');
  output.note(`${codes.length} of these ${were} refused for good (${which}) and will probably fail again.`);
}

function stateOf(email: Pick<Job, 'state' | 'leased'>): string {
  return email.state === 'queued' && email.leased ? 'sending' : email.state;
}

function paintState({ style }: Output, email: Job): (text: string) => string {
  if (email.state === 'sent') return style.good;
  if (email.state === 'failed') return style.bad;
  return email.state === 'queued' ? style.warning : style.dim;
}

/** When it was sent, is due, or was created. */
function whenOf(output: Output, email: Job): string {
  if (email.state === 'queued') return email.leased ? 'now' : `due ${output.dueTime(email.dueAt)}`;
  return output.timeInList(email.sentAt ?? email.createdAt);
}

/** `now, since 3 min ago (…)`, or `in 3 min (…)`. */
function dueInFull(output: Output, at: string): string {
  const [due, exact] = [output.dueTime(at), output.exactTime(at)];
  if (due === 'now') return `now, since ${output.timeInFull(at)}`;
  return due === exact ? exact : `${due} (${exact})`;
}

export function printEmail(output: Output, email: EmailDetails): void {
  const { style } = output;
  printJob(output, email, email.failure && describeFailure(email.failure), [
    ['to', email.to ?? unopened, email.to === null ? style.bad : undefined],
    ['kind', email.digest ? `${email.kind}, the digest of messages beyond the hourly limit` : email.kind],
    ['form', email.form],
    ['message', email.receipt],
    ['resend of', email.resendOf],
  ]);
  const advice = adviceOn(email);
  if (advice !== null) output.note(`\n${advice}`);
}

/** With its attempts. @param facts what is particular about it. */
export function printJob(
  output: Output,
  job: Job & { id: string; attempts: Attempts },
  reason: string | null,
  facts: readonly Fact[],
): void {
  const queued = job.state === 'queued' && !job.leased;
  output.printDetails([
    ['id', job.id, output.style.bold],
    ['state', stateOf(job), paintState(output, job)],
    ['reason', reason, output.style.bad],
    ...facts,
    ['created', output.timeInFull(job.createdAt)],
    ['due', queued ? dueInFull(output, job.dueAt) : null],
    ['sent', job.sentAt && output.timeInFull(job.sentAt)],
    ['tries', String(job.tries)],
  ]);
  output.print();
  if (job.attempts.length === 0) output.note('Not tried yet.');
  else printAttempts(output, job.attempts);
}

type Attempts = EmailDetails['attempts'];

function printAttempts(output: Output, attempts: Attempts): void {
  const { style } = output;
  output.printTable(attempts, [
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
      minWidth: 20,
    },
  ]);
  // The mail server's last reply in full if the table may have cut it.
  const reply = attempts.at(-1)?.reply ?? '';
  if (textWidth(showSafe(reply)) <= output.width - maxWidthBeforeReply) return;
  output.print();
  output.printText(reply);
}

/** The maximum width of the other columns. */
const maxWidthBeforeReply = '59 min ago  accepted  CODE  999 ms  '.length;

/** @param name how to name it in a command, if that needs no `--again`. */
export function adviceOn({ id, state, leased, tries, kind, failure }: EmailView, name = id): string | null {
  if (state === 'queued' && !leased && tries > 0) return `To send it now: ruffinweb emails resend ${id}`;
  if (state === 'cancelled' && failure === 'too-late') {
    return `To send it anyway: ruffinweb emails resend ${id} --again`;
  }
  if (state !== 'failed') return null;
  // `resendEmails` requires this, since the visitor may already have the mail.
  const needsAgain = atMostOnceKinds.includes(kind) && failure === 'outcome-unknown';
  return `Send it again: ruffinweb emails resend ${needsAgain ? `${id} --again` : name}`;
}

const failureWords: Readonly<Record<FailureReason, string>> = {
  refused: 'the mail server does not accept it',
  'schedule-ended': 'not delivered within three days of attempts',
  'outcome-unknown': 'it may have arrived, and nobody can tell',
  unwanted: 'its recipient wants no auto-reply, or is blocked',
  'too-late': 'it waited for more than a day, too long for an auto-reply',
  'nothing-held': 'the messages that it would have listed were released or deleted',
  digest: 'the hourly limit was reached, so a digest names its message at the end of the hour',
};

/** A later release may store other reasons. */
function describeFailure(failure: FailureReason): string {
  return `${failure}: ${failureWords[failure] ?? 'a later release knows what this means'}`;
}

function tookOf(attempt: Attempts[number]): string {
  if (attempt.startedAt === null) return '';
  const ms = Date.parse(attempt.finishedAt) - Date.parse(attempt.startedAt);
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}
