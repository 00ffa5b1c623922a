import type { Context } from '../../../context.ts';
import type { Replied } from '../../../services/emails/queue-reply.ts';
import type { Scope } from '../../../services/scope.ts';
import type { Call } from '../../session/command.ts';
import { maskHtml, maskText } from '../../terminal/mask.ts';

export type ShownMail = Awaited<ReturnType<typeof readMail>>;

/** The mail as a worker would send it, masked if that was asked for. @param given as for `showMail`. */
export async function readMail({ options }: Call, context: Context, scope: Scope, given: string | Replied['email']) {
  const [{ openMail }, { showMail }] = await Promise.all([
    import('../../../mailing-context.ts'),
    import('../../../services/emails/show-mail.ts'),
  ]);
  await using mailing = await openMail(context.config);
  const mail = await showMail({ ...context, composer: mailing.composer }, scope, given);
  const hide = (text: string) => (options.mask ? maskText(text, mail.senderNames) : text);
  return {
    headers: mail.headers.map(([name, value]): [string, string] => [name, hide(value)]),
    text: hide(mail.text),
    html: options.mask ? maskHtml(mail.html, mail.senderNames) : mail.html,
  };
}
