import { domainOf, readAddress } from '../address.ts';
import type { Config } from '../config/config.ts';
import { Problem } from '../problems.ts';
import { newId } from './ids.ts';

/** The NOTIFY channel that tells workers that an email was queued. */
export const emailChannel = 'ruffinweb_emails';

/** The ids of a new email: in our database, and at mail servers. */
export function newEmailIdentity(config: Pick<Config, 'mailFrom'>): { id: string; internetMessageId: string } {
  const id = newId();
  return { id, internetMessageId: `<${id}@${domainOf(config.mailFrom.address)}>` };
}

/** Reads an owner's address; one on this machine is allowed. @throws {Problem} argument-invalid */
export function readRecipient(text: string): string {
  const address = readAddress(text.trim(), { localDomain: true });
  if (address === undefined) throw new Problem('argument-invalid', `"${text}" is not an e-mail address`);
  return address;
}
