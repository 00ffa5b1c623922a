import { v7 as uuidv7 } from 'uuid';
import type { Config } from '../config.ts';

/** What an email is known by, here and at every mail server, from the moment its row is written. */
export function newEmailIdentity(config: Pick<Config, 'mailFrom'>): { id: string; internetMessageId: string } {
  const id = uuidv7();
  const { address } = config.mailFrom;
  return { id, internetMessageId: `<${id}@${address.slice(address.lastIndexOf('@') + 1)}>` };
}
