import type { Facts, Say } from './facts.ts';

/** The visitor's text names its key. A text that was posted second, under the key of another, has none. */
export function keyIn(text: string): string {
  return /^The post (\S+)\.$/.exec(text)?.[1] ?? text;
}

/** The visitor's address names the key too. */
export function addressOf(key: string): string {
  return `ada@${key}.test`;
}

/** What is stored is what was posted, and each mail is about its own message and goes to the right person. */
export function judgeContent(facts: Facts, say: Say): void {
  const { visits, messages, emails, mails, owner, miscounted } = facts;
  const formOf = new Map(visits.flatMap((it) => (it.form === undefined ? [] : [[it.key, it.form]])));
  const keyOf = new Map(messages.map((it) => [it.id, keyIn(it.message)]));
  for (const { id, form, email, message } of messages) {
    const key = keyIn(message);
    const isRight = email === addressOf(key) && form === (formOf.get(key) ?? form);
    if (!isRight) say('right content', `${id} was posted as ${key} to ${formOf.get(key)}, stored: ${form}, ${email}`);
  }
  const emailOf = new Map(emails.map((it) => [it.header, it]));
  for (const { messageId, to, about } of mails) {
    const email = emailOf.get(messageId);
    const key = email && keyOf.get(email.messageId);
    // A mail of no email, and an email of no message, are the oracle's.
    if (email === undefined || key === undefined) continue;
    const recipient = email.kind === 'notification' ? owner : addressOf(key);
    if (to.join() !== recipient) say('right content', `${email.kind} ${email.id} went to ${to}, not to ${recipient}`);
    if (about !== key) say('right content', `${email.kind} ${email.id} of ${key} is about ${about}`);
  }
  const messageOf = new Map(facts.deliveries.map((it) => [it.id, it.messageId]));
  for (const { id, messageId } of facts.calls) {
    const own = messageOf.get(id);
    if (own && messageId !== own) say('right content', `hook delivery ${id} of ${own} is about ${messageId}`);
  }
  for (const it of miscounted) say('right content', `the count of messages of sender ${it} is wrong`);
}
