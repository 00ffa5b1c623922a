import { readAddress } from '../address.ts';
import { Problem } from '../problems.ts';

/** Where mail of ours may go: an owner's address, also one on this machine. @throws {Problem} argument-invalid */
export function readRecipient(text: string): string {
  const address = readAddress(text.trim(), { localDomain: true });
  if (address === undefined) throw new Problem('argument-invalid', `"${text}" is not an e-mail address`);
  return address;
}
