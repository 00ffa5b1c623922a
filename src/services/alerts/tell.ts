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

/** Sends to each address that is set, with the site in the title. Never throws. */
export async function tellOperator(parts: Parts, { title, ...rest }: Notice, stop?: AbortSignal): Promise<Answer[]> {
  const notice = { ...rest, title: `${new URL(parts.config.publicUrl).host}: ${title}` };
  return (await Promise.all([post(parts, notice, stop), mail(parts, notice, stop)])).flat();
}

async function post({ config, hookSender }: Parts, notice: Notice, signal?: AbortSignal): Promise<Answer[]> {
  if (config.alertUrl === undefined) return [];
  const { kind, url } = config.alertUrl.reveal();
  const { result, code = '', reply } = await hookSender.send(presetRequest(kind, url, notice), signal && { signal });
  return [{ from: 'ALERT_URL', isTaken: result === 'accepted', said: plainLine(`${code} ${reply}`).slice(0, 200) }];
}

/** Not by the queue, which may be paused, and on a connection of its own, since all others may hang. */
async function mail(parts: Parts, { title, lines }: Notice, stop?: AbortSignal): Promise<Answer[]> {
  const { alertTo: to, mailFrom } = parts.config;
  if (to === undefined) return [];
  const about = { ...newEmailIdentity(parts.config), kind: 'alert', from: formatMailbox(mailFrom), to };
  const text = { subject: title, text: `${[title, '', ...lines].join('\n')}\n`, html: '' };
  const sent = { ...about, ...text, date: parts.now(), headers: { 'Auto-Submitted': 'auto-generated' } };
  const tooLate = grace(30_000, stop).then(() => undefined);
  const outcome = (await Promise.race([parts.mailer.walk(sent, () => {}), tooLate]))?.outcome;
  const said = plainLine(outcome?.reply ?? 'no answer in time').slice(0, 200);
  return [{ from: 'ALERT_TO', isTaken: outcome?.result === 'accepted', said }];
}
