import type { Config } from '../config/config.ts';
import type { MailingContext } from '../context.ts';
import type { Outcome, Step } from '../mail/mailer.ts';
import { newEmailIdentity } from './outbox.ts';

/** How the test mail went. */
export interface TestedMail {
  /** Whether the mail server took it; whether it arrives is for the recipient to see. */
  outcome: Outcome;
  steps: Step[];
}

/**
 * Sends one mail on the way of every mail, outside the queue and whether that is paused or not.
 *
 * @param to as `readRecipient` reads it.
 */
export async function testMail(
  parts: Pick<MailingContext, 'mailer' | 'composer'> & { config: Config; now: () => Date },
  to: string,
  onStep: (step: Step) => void,
): Promise<TestedMail> {
  const { config } = parts;
  const { name, address: from } = config.mailFrom;
  const mail = parts.composer.test(
    {
      ...newEmailIdentity(config),
      from: name === undefined ? from : `${name} <${from}>`,
      to,
      date: parts.now(),
    },
    { publicUrl: config.publicUrl },
  );
  const steps: Step[] = [];
  const { outcome } = await parts.mailer.walk(mail, (step) => {
    steps.push(step);
    onStep(step);
  });
  return { outcome, steps };
}
