import type { Config } from '../config/config.ts';
import { newId } from './new-id.ts';

/** What an email is known by, here and at every mail server, from the moment its row is written. */
export function newEmailIdentity(config: Pick<Config, 'mailFrom'>): { id: string; internetMessageId: string } {
  const id = newId();
  const { address } = config.mailFrom;
  return { id, internetMessageId: `<${id}@${address.slice(address.lastIndexOf('@') + 1)}>` };
}
