const atext = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]";
const localPart = new RegExp(`^${atext}+(?:\\.${atext}+)*$`);
const domainName =
  /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;

/**
 * Whether this is one bare dot-atom address (RFC 5321 §4.1.2) and nothing else. Lists, groups, quoted
 * local parts, comments and display names are not: mail libraries read some of them as several
 * recipients, or as a recipient at another domain than the one that was checked.
 */
export function isPlainAddress(address: string): boolean {
  if (address.length > 254) return false;
  const at = address.lastIndexOf('@');
  if (at < 1 || at > 64) return false;
  return localPart.test(address.slice(0, at)) && domainName.test(address.slice(at + 1));
}

export interface Mailbox {
  readonly name: string;
  readonly address: string;
}

/** Reads `address`, `<address>`, `Name <address>` or `"Name" <address>`; undefined for anything else. */
export function readMailbox(text: string): Mailbox | undefined {
  const trimmed = text.trim();
  const parts = /^([^<>]*)<([^<>]*)>$/.exec(trimmed);
  const name = (parts?.[1] ?? '').trim().replace(/^"(.*)"$/, '$1');
  const address = parts ? (parts[2] ?? '') : trimmed;
  if (!isPlainAddress(address) || name.length > 200 || /[\p{Cc}\p{Cf}"\\]/u.test(name)) return undefined;
  return { name, address };
}
