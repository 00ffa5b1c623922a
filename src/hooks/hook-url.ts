import { isIP } from 'node:net';
import type { HookKind } from '../words.ts';
import { isAllowedAddress } from './allowed-address.ts';

/** The path and query that a service needs, and an example at its well-known host. */
const services: Partial<Record<HookKind, [shape: RegExp, example: string]>> = {
  slack: [/^\/./, 'hooks.slack.com/services/<ids>'],
  discord: [/^\/api\/(v\d+\/)?webhooks\/\d+\/[-\w]+(\?|$)/, 'discord.com/api/webhooks/<id>/<token>'],
  telegram: [/^\/bot[^/]+\/sendMessage\?(.*&)?chat_id=./, 'api.telegram.org/bot<token>/sendMessage?chat_id=<id>'],
  ntfy: [/^\/[-\w]{1,64}(\?|$)/, 'ntfy.sh/<topic>'],
  apprise: [/\/notify(\/[-\w]+)?\/?(\?|$)/, '<host>/notify/<key>'],
};

export function kindOfUrl(text: string): HookKind | undefined {
  const host = `${URL.parse(text)?.hostname}/`;
  return (Object.keys(services) as HookKind[]).find((kind) => services[kind]?.[1].startsWith(host));
}

/** The host, for lists and logs: path and query may be secrets. */
export function describeHookUrl(text: string): string {
  return URL.parse(text)?.host ?? '';
}

/** @throws {Error} that says what to change, and contains no part of the URL. */
export function checkHookUrl(
  kind: HookKind,
  text: string,
  { allowHosts, allowHttp }: { allowHosts: readonly string[]; allowHttp: boolean },
): URL {
  const url = URL.parse(text);
  if (url === null || text.length > 2000 || !(allowHttp ? /^https?:/ : /^https:/).test(url.href)) {
    throw new Error('The URL must start with https:// (http:// needs --allow-http) and have at most 2000 characters.');
  }
  if (url.username !== '' || url.password !== '') {
    throw new Error('The URL contains a user name or password. Use a token in its path or query.');
  }
  const host = bareHost(url.hostname);
  const fault = explainNotAllowed(url, allowHosts, isIP(host) === 0 ? [] : [{ address: host }]);
  if (fault !== null) throw new Error(fault);
  const [shape, example] = services[kind] ?? [];
  if (shape?.test(url.pathname + url.search) !== false) return url;
  throw new Error(`This is not an address for ${kind}. Expected: https://${example}`);
}

/** @param all every address of the host. One that is not allowed is enough. */
export function explainNotAllowed(url: URL, allowHosts: readonly string[], all: { address: string }[]): string | null {
  const inside = allowHosts.includes(bareHost(url.hostname));
  if (url.protocol !== 'https:' && !inside)
    return 'http works only for hosts in HOOK_ALLOW_HOSTS: use https, or add the host there.';
  if (all.every(({ address }) => isAllowedAddress(address, inside))) return null;
  if (inside) return 'The host has a link-local, metadata or reserved address, which is never allowed.';
  return 'The host has an address that is not public. If it is your own, add it to HOOK_ALLOW_HOSTS.';
}

/** Without the brackets of IPv6. The URL standard has already turned 0x7f.1 and 2130706433 into 127.0.0.1. */
export function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$|\.$/g, '');
}
