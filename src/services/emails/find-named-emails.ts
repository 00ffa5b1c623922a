import { Email } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { EmailKind } from '../../words.ts';
import { findNamedMessage, isMessageName, lookUpMessage } from '../find-named.ts';
import type { Scope } from '../scope.ts';

/**
 * The ids of emails that are named by their ids, or by a message for the emails about it.
 *
 * @param change leaves out emails of the message that were copied. Finished emails and emails of another kind are left out
 *   too if others remain: somebody who repeats a failed email does not mean a sent one.
 * @returns a text that names no message as it was given.
 * @throws {Problem} message-unknown, email-unknown, argument-invalid
 */
export async function findNamedEmails(
  scope: Scope,
  names: readonly string[],
  change?: { kind?: EmailKind | undefined },
): Promise<string[]> {
  const ids: string[] = [];
  for (const name of names) {
    const message = isMessageName(name) ? await findNamedMessage(scope, name) : await lookUpMessage(scope, name);
    if (message === null) {
      ids.push(name);
      continue;
    }
    const all = await scope.em.find(Email, { message: message.id }, { orderBy: { id: 'asc' }, refresh: true });
    if (all.length === 0) throw new Problem('email-unknown', `there is no email about message ${message.receipt}`);
    const copied = new Set(all.map((it) => it.resendOf?.id));
    const current = all.filter((it) => !copied.has(it.id));
    const wanted = current.filter(({ kind }) => kind === (change?.kind ?? kind));
    const unfinished = wanted.filter(({ state }) => state !== 'sent' && state !== 'cancelled');
    const found = change === undefined ? all : [unfinished, wanted].find((it) => it.length > 0);
    ids.push(...(found ?? current).map((it) => it.id));
  }
  return ids;
}
