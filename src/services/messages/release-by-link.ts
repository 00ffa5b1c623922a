import { Message } from '../../entities/index.ts';
import type { Language } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { languageOf } from '../forms/effective-settings.ts';
import type { Scope } from '../scope.ts';
import { readReleaseLink } from '../signed-links.ts';
import { releaseMessage } from './change-message.ts';

/**
 * What a link "deliver this one" can do. `ready`: release the message. `delivered`: nothing, since it is not held any more.
 * `over`: nothing, since its time is up, or the message was deleted, or released and held again.
 */
export type LinkState = 'ready' | 'released' | 'delivered' | 'over' | 'not-signed';

export interface LinkAnswer {
  state: LinkState;
  /** The message; undefined if it does not exist or we did not sign the link. */
  message?: { receipt: string; form: string; reasons: readonly string[]; language: Language };
}

/** Says what a link can do, and changes nothing. */
export async function readLink(scope: Scope, token: string): Promise<LinkAnswer> {
  const link = readReleaseLink(scope.keyring, token);
  if (link === undefined) return { state: 'not-signed' };
  const found = await scope.em.findOne(Message, { id: link.message }, { populate: ['form'], refresh: true });
  if (found === null) return { state: 'over' };
  const { receipt, form } = found;
  const language = languageOf(scope.config, form, undefined);
  const message = { receipt, form: form.name ?? form.slug, reasons: found.reasons, language };
  if (found.status !== 'held') return { state: 'delivered', message };
  const isSameHold = found.heldSince().getTime() === link.heldSince;
  const isReady = isSameHold && (await databaseNow(scope.em)).getTime() < link.endsAt;
  return { state: isReady ? 'ready' : 'over', message };
}

/** Releases the message of a link, if the link can. The token is the right to do it: it needs no login and no cookie. */
export async function releaseByLink(scope: Scope, token: string): Promise<LinkAnswer> {
  const answer = await readLink(scope, token);
  const link = readReleaseLink(scope.keyring, token);
  if (answer.state !== 'ready' || link === undefined) return answer;
  const { receipt, changed } = await releaseMessage(scope, link.message, undefined, new Date(link.heldSince));
  // Somebody else was faster.
  if (!changed) return await readLink(scope, token);
  scope.log.info({ message: link.message, receipt }, 'message released by a link of the summary');
  return { ...answer, state: 'released' };
}
