import type { VisitLine } from '../ledgers/load.ts';
import { judgeContent, keyIn } from './content.ts';
import type { Facts, Say, Verdict, Violation } from './facts.ts';

export type * from './facts.ts';

/** Judges what a fault has left, when all mail has left. Pure. */
export function judge(facts: Facts): Verdict {
  const violations: Violation[] = [];
  const say: Say = (invariant, what) => violations.push({ invariant, what });
  const { acknowledged, lost } = judgePosts(facts, say);
  if (acknowledged === 0) say('no loss', 'no post was acknowledged, so nothing was tried');
  judgeRows(facts, say);
  judgeContent(facts, say);
  const copies = judgeMails(facts, say) + judgeCalls(facts, say);
  for (const it of facts.stuck) say('at least once', `${it} would not have left within a day`);
  for (const it of facts.ended) say('no crash', it);
  for (const it of facts.badLines) say('silence', it);
  const uncertain = [...facts.emails, ...facts.deliveries].reduce((sum, it) => sum + it.uncertain, 0);
  const givenUp = facts.emails.filter((it) => it.kind === 'auto-reply' && it.state !== 'sent').length;
  return { acknowledged, lost, duplicated: copies, givenUp, uncertain, violations };
}

/** Each post as its visitor saw it, beside what is stored under its key. */
function judgePosts({ visits, messages }: Facts, say: Say): { acknowledged: number; lost: number } {
  const stored = Map.groupBy(messages, (it) => keyIn(it.message));
  const posts = Map.groupBy(visits, (it) => it.key);
  let acknowledged = 0;
  let lost = 0;
  for (const [key, lines] of posts) {
    const rows = stored.get(key) ?? [];
    const first = lines.filter((it) => !it.again && it.answer !== 'sent');
    const yes = first.find((it) => it.answer === 201);
    if (yes) {
      acknowledged += 1;
      // Of an answer that was cut in its body the visitor knows no more than that it said 201.
      const isThere = rows.length === 1 && (rows[0]?.id === yes.id || (yes.isCut === true && yes.id === undefined));
      if (!isThere) lost += 1;
      if (!isThere) say('no loss', `${key} was acknowledged as ${yes.id}, stored: ${rows.map((it) => it.id)}`);
    } else if (rows.length > 1) say('no ghost', `${key} is stored ${rows.length} times`);
    else if (rows.length === 1 && isRefused(lines)) say('no ghost', `${key} was refused, and is stored`);
    const no = first.find((it) => typeof it.answer === 'number' && isNo(it.answer));
    if (no) say('no refusal', `${key} is a good post, and was answered ${no.answer}`);
    for (const it of lines.filter((line) => line.again && line.answer !== 'sent')) judgeAgain(it, yes?.id, say);
  }
  for (const [key, rows] of stored) {
    if (!posts.has(key)) say('no ghost', `nobody posted ${rows.map((it) => it.id)}: ${key}`);
  }
  return { acknowledged, lost };
}

/** The post itself is refused. 409 says only that its first try is not over. */
function isNo(status: number): boolean {
  return status >= 300 && status < 500 && status !== 409;
}

/** Whether each try got an answer, and each answer was a refusal: then nothing may be stored. */
function isRefused(lines: readonly VisitLine[]): boolean {
  const answers = lines.filter((it) => it.answer !== 'sent');
  const sent = lines.length - answers.length;
  return answers.length >= sent && answers.every((it) => typeof it.answer === 'number' && isNo(it.answer));
}

function judgeAgain({ key, again, answer, id }: VisitLine, first: string | undefined, say: Say): void {
  const isUncertain = answer === 'none' || (typeof answer === 'number' && answer >= 500);
  if (isUncertain) return;
  const isRight = again === 'same' ? answer === 201 && id === first : answer === 422 || answer === 409;
  if (!isRight) say('same answer again', `${key}, ${again} post under its key: ${answer} ${id ?? ''}`);
}

function judgeRows({ messages, emails, deliveries, forms }: Facts, say: Say): void {
  const emailsOf = Map.groupBy(emails, (it) => it.messageId);
  const deliveriesOf = Map.groupBy(deliveries, (it) => it.messageId);
  for (const { id, form } of messages) {
    const wanted = forms[form];
    const kinds = (emailsOf.get(id) ?? []).map((it) => it.kind);
    const notifications = kinds.filter((it) => it === 'notification').length;
    const replies = kinds.length - notifications;
    const calls = deliveriesOf.get(id)?.length ?? 0;
    const isWhole =
      wanted !== undefined &&
      notifications === wanted.notifications &&
      replies === Number(wanted.autoReply) &&
      calls === wanted.hooks;
    if (!isWhole) say('all or nothing', `${id} of ${form}: emails ${kinds}, hook deliveries ${calls}`);
  }
}

/** @returns extra copies */
function judgeMails({ emails, mails, clocksJumped }: Facts, say: Say): number {
  const taken = Map.groupBy(mails, (it) => it.messageId);
  let extra = 0;
  for (const { id, kind, state, failure, header, uncertain, accepted } of emails) {
    const copies = taken.get(header) ?? [];
    taken.delete(header);
    extra += Math.max(0, copies.length - 1);
    const isGivenUp = (failure === 'outcome-unknown' && uncertain > 0) || (failure === 'too-late' && clocksJumped);
    const mayEnd = state === 'sent' || (kind === 'auto-reply' && isGivenUp);
    if (!mayEnd) say('at least once', `${kind} ${id} is ${state} (${failure})`);
    if (state === 'sent' && accepted === 0) say('at least once', `${kind} ${id} is sent, and no attempt says so`);
    if (copies.length < accepted) say('at least once', `${kind} ${id}: taken ${copies.length} times, says ${accepted}`);
    if (copies.length > 1 + uncertain) {
      say('duplicates on record', `${kind} ${id}: ${copies.length} copies, ${uncertain} uncertain attempts`);
    }
    if (uncertain === 0 && copies.some((it) => it.beside)) say('one at a time', `${kind} ${id} was in DATA twice`);
    if (kind === 'auto-reply' && copies.length > 1) say('at most once', `auto-reply ${id}: ${copies.length} copies`);
    if (new Set(copies.map((it) => `${it.hash} ${it.to}`)).size > 1) say('same mail again', `${kind} ${id}`);
  }
  for (const [header, copies] of taken) say('no ghost', `mail ${header} to ${copies[0]?.to} belongs to no email`);
  return extra;
}

/** @returns extra copies */
function judgeCalls({ deliveries, calls }: Facts, say: Say): number {
  const taken = Map.groupBy(calls, (it) => it.id);
  let extra = 0;
  for (const { id, state, uncertain, accepted } of deliveries) {
    const copies = taken.get(id) ?? [];
    taken.delete(id);
    extra += Math.max(0, copies.length - 1);
    if (state !== 'sent') say('at least once', `hook delivery ${id} is ${state}`);
    if (state === 'sent' && accepted === 0) say('at least once', `hook delivery ${id} is sent, and no attempt says so`);
    if (copies.length < accepted) say('at least once', `hook delivery ${id}: taken ${copies.length}, says ${accepted}`);
    if (copies.length > 1 + uncertain) {
      say('duplicates on record', `hook delivery ${id}: ${copies.length} copies, ${uncertain} uncertain attempts`);
    }
    if (new Set(copies.map((it) => it.hash)).size > 1) say('same mail again', `hook delivery ${id}`);
  }
  for (const id of taken.keys()) say('no ghost', `hook delivery ${id} belongs to no row`);
  return extra;
}

/** Lines that a log must not have: the visitors' word, or an error that nobody caught. */
export function badLinesIn(log: string, canary: string): string[] {
  const never = ['uncaughtException', 'unhandledRejection', 'UnhandledPromiseRejection', 'MaxListenersExceeded'];
  return log.split('\n').filter((line) => line.includes(canary) || never.some((it) => line.includes(it)));
}
