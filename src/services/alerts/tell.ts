import { formatMailbox } from '../../address.ts';
import type { Config } from '../../config/config.ts';
import { grace } from '../../grace.ts';
import type { Notice } from '../../hooks/notice.ts';
import { presetRequest } from '../../hooks/presets.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { plainLine } from '../../plain-line.ts';
import { newEmailIdentity } from '../outbox.ts';

type Parts = Pick<MailingContext, 'hookSender' | 'mailer' | 'now'> & { config: Config };

/** What one of the two addresses answered, in one line. */
export interface Answer {
  from: 'ALERT_URL' | 'ALERT_TO';
  isTaken: boolean;
  said: string;
}

/** Sends to each address that is set. Never throws. */
export async function tellOperator(parts: Parts, notice: Notice, stop?: AbortSignal): Promise<Answer[]> {
  const { alertUrl, alertTo } = parts.config;
  const sending: Promise<Answer>[] = [];
  if (alertUrl !== undefined) sending.push(post(parts, alertUrl.reveal(), notice, stop));
  if (alertTo !== undefined) sending.push(mailTo(parts, alertTo, notice, stop));
  return await Promise.all(sending);
}

type AlertUrl = ReturnType<NonNullable<Config['alertUrl']>['reveal']>;

async function post(parts: Parts, { kind, url }: AlertUrl, notice: Notice, signal?: AbortSignal): Promise<Answer> {
  const outcome = await parts.hookSender.send(presetRequest(kind, url, notice), signal && { signal });
  const said = plainLine(`${outcome.code ?? ''} ${outcome.reply}`).slice(0, 200);
  return { from: 'ALERT_URL', isTaken: outcome.result === 'accepted', said };
}

/** Not by the queue, which may be paused, and on a connection of its own, since all others may hang. */
async function mailTo({ config, mailer, now }: Parts, to: string, { title, lines }: Notice, stop?: AbortSignal) {
  const about = { ...newEmailIdentity(config), kind: 'alert', from: formatMailbox(config.mailFrom), to, date: now() };
  const headers = { 'Auto-Submitted': 'auto-generated' };
  const mail = { ...about, headers, subject: title, text: `${[title, '', ...lines].join('\n')}\n`, html: '' };
  const tooLate = grace(90_000, stop).then(() => undefined);
  const walk = await Promise.race([mailer.walk(mail, () => {}), tooLate]);
  const said = plainLine(walk?.outcome.reply ?? 'no answer in time').slice(0, 200);
  return { from: 'ALERT_TO' as const, isTaken: walk?.outcome.result === 'accepted', said };
}
