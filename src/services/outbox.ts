import { readAddress } from '../address.ts';
import type { Config } from '../config/config.ts';
import { Problem } from '../problems.ts';
import { newId } from './ids.ts';

/** PostgreSQL's NOTIFY channel on which the delivery loops hear that an email was queued. */
export const emailChannel = 'ruffinweb_emails';

/** What an email is known by, here and at every mail server, from the moment its row is written. */
export function newEmailIdentity(config: Pick<Config, 'mailFrom'>): { id: string; internetMessageId: string } {
  const id = newId();
  const { address } = config.mailFrom;
  return { id, internetMessageId: `<${id}@${address.slice(address.lastIndexOf('@') + 1)}>` };
}

/** Where mail of ours may go: an owner's address, also one on this machine. @throws {Problem} argument-invalid */
export function readRecipient(text: string): string {
  const address = readAddress(text.trim(), { localDomain: true });
  if (address === undefined) throw new Problem('argument-invalid', `"${text}" is not an e-mail address`);
  return address;
}
