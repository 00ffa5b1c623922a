import { domainToASCII } from 'node:url';

const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const localPart = new RegExp(`^${atom}(?:\\.${atom})*$`);
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads one plain e-mail address: a dot-atom, an @ and a domain name (RFC 5321 §4.1.2). Not accepted: quoted local parts,
 * comments and address literals. No visitor has them, and mail software may read them as several addresses. Returns the
 * domain in lower case, and an international one as punycode.
 *
 * @param options.localDomain whether to accept a domain of one label, as in `owner@localhost`.
 * @returns undefined for anything else.
 */
export function readAddress(text: string, options: { localDomain?: boolean } = {}): string | undefined {
  if (text.length > 254) return undefined;
  const at = text.lastIndexOf('@');
  const local = text.slice(0, Math.max(at, 0));
  if (local.length > 64 || !localPart.test(local)) return undefined;
  const given = text.slice(at + 1);
  // Allowed in a URL, but not in a mail domain.
  if (/[\s/\\?#:%@[\]]/.test(given)) return undefined;
  const domain = domainToASCII(given);
  const labels = domain.split('.');
  if (domain === '' || domain.length > 253 || !labels.every((it) => label.test(it))) return undefined;
  if (labels.length < 2 && options.localDomain !== true) return undefined;
  // An all-numeric last label is an IPv4 address, which a mail domain cannot be (RFC 3696 §2).
  if (/^\d+$/.test(labels.at(-1) ?? '')) return undefined;
  const address = `${local}@${domain}`;
  return address.length <= 254 ? address : undefined;
}

/** For comparing and looking up: `Ada@` and `ada@` are the same person. */
export function normaliseAddress(address: string): string {
  return address.toLowerCase();
}

/** Removes repeated addresses, which would get every mail twice. Keeps the first spelling. */
export function eachAddressOnce(addresses: readonly string[]): string[] {
  const first = new Map<string, string>();
  for (const it of addresses) if (!first.has(normaliseAddress(it))) first.set(normaliseAddress(it), it);
  return [...first.values()];
}

/** As in a From header: `ada@example.com` or `Ada <ada@example.com>`. */
export interface Mailbox {
  name?: string;
  address: string;
}

/** @returns undefined unless the text is a single mailbox. */
export function readMailbox(text: string): Mailbox | undefined {
  const [, before, between] = /^([^<>]*)<([^<>]+)>$/.exec(text.trim()) ?? [];
  const address = readAddress((between ?? text).trim(), { localDomain: true });
  if (address === undefined) return undefined;
  const name = before?.trim().replace(/^"|"$/g, '').trim();
  // A From header cannot contain these unescaped.
  const isUnsafe = (it: string) => it.length > 200 || /["@\\]|(?![\u200c\u200d])[\p{Cc}\p{Cf}]/u.test(it);
  if (name !== undefined && isUnsafe(name)) return undefined;
  return name ? { name, address } : { address };
}

/** `ada@example.com`, or `Ada <ada@example.com>`. */
export function formatMailbox({ name, address }: Mailbox): string {
  return name ? `${name} <${address}>` : address;
}

export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

/**
 * Whether this is one plain address and nothing else. Mail libraries may read lists, groups, quoted local parts and display
 * names as several recipients, or as a recipient at another domain than the one we checked.
 */
export function isPlainAddress(address: string): boolean {
  return readAddress(address, { localDomain: true })?.toLowerCase() === address.toLowerCase();
}
