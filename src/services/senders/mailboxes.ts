import { normaliseAddress } from '../../address.ts';

/** Domains that are one provider's, under the name that stands for all of them. */
const aliases: ReadonlyMap<string, readonly string[]> = new Map([
  ['gmail.com', ['googlemail.com']],
  ['proton.me', ['protonmail.com', 'protonmail.ch', 'pm.me']],
  ['icloud.com', ['me.com', 'mac.com']],
  ['yandex.ru', ['yandex.com', 'yandex.by', 'yandex.kz', 'yandex.ua', 'ya.ru']],
]);
const mainDomains = new Map([...aliases].flatMap(([main, others]) => others.map((it) => [it, main] as const)));

/** The characters of a local part that these providers ignore. */
const ignored: ReadonlyMap<string, RegExp> = new Map([
  ['gmail.com', /\./g],
  ['proton.me', /[._-]/g],
]);

/** These deliver mail for anything@ada.fastmail.com to ada@fastmail.com. */
const subdomainMailboxes =
  /^(?:.+\.)?([^.]+)\.(fastmail\.(?:com|fm|net|org|co\.uk|de|us|jp|in)|sent\.com|messagingengine\.com)$/;

/**
 * The mailbox behind an address, for auto-replies only: without the part after a plus, and without what its provider
 * ignores. An attacker must not get one reply for each spelling of somebody's address.
 *
 * @returns second, the mailbox as release 0.2.0 understood it, if that differs: people have opted out under it.
 */
export function mailboxesForLimits(address: string): readonly [string, string?] {
  const normal = normaliseAddress(address);
  const at = normal.lastIndexOf('@');
  const givenDomain = normal.slice(at + 1);
  const local = normal.slice(0, at).replace(/(?<=.)\+.*$/, '');
  const domain = mainDomains.get(givenDomain) ?? givenDomain;
  const [, user, provider] = subdomainMailboxes.exec(domain) ?? [];
  if (user !== undefined) return [`${user}@${provider}`, `${local}@${givenDomain}`];
  const plain = local.replaceAll(ignored.get(domain) ?? /$^/g, '') || local;
  const mailbox = `${domain === 'yandex.ru' ? plain.replaceAll('.', '-') : plain}@${domain}`;
  const former = domain === 'gmail.com' ? mailbox : `${local}@${givenDomain}`;
  return former === mailbox ? [mailbox] : [mailbox, former];
}

export function mailboxForLimits(address: string): string {
  return mailboxesForLimits(address)[0];
}

/** Providers with so many mailboxes that their domain says nothing about whom its mail is for. */
const largeProviders = new Set(
  `126.com 163.com alice.it aol.com arcor.de att.net bigpond.com bluewin.ch bol.com.br btinternet.com charter.net
  comcast.net cox.net daum.net docomo.ne.jp duck.com earthlink.net email.cz ezweb.ne.jp fastmail.com fastmail.fm foxmail.com
  free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net hanmail.net hey.com hotmail.be hotmail.ch
  hotmail.co.uk hotmail.com hotmail.com.br hotmail.de hotmail.es hotmail.fr hotmail.it hotmail.nl icloud.com inbox.ru
  interia.pl kpnmail.nl laposte.net libero.it list.ru live.ca live.co.uk live.com live.com.au live.de live.fr live.it
  live.nl mail.com mail.ru mailbox.org msn.com naver.com o2.pl online.no onet.pl optusnet.com.au orange.fr outlook.com
  outlook.com.br outlook.de outlook.es outlook.fr outlook.it posteo.de posteo.net privaterelay.appleid.com proton.me
  qq.com rambler.ru rediffmail.com rocketmail.com rogers.com sapo.pt sbcglobal.net seznam.cz sfr.fr shaw.ca sina.com
  sky.com skynet.be softbank.ne.jp sympatico.ca t-online.de talktalk.net telenet.be telia.com terra.com.br tin.it tuta.com
  tutanota.com ukr.net uol.com.br verizon.net virgilio.it virginmedia.com wanadoo.fr web.de wp.pl xs4all.nl yahoo.ca
  yahoo.co.id yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.mx yahoo.de
  yahoo.es yahoo.fr yahoo.in yahoo.it yandex.ru yeah.net ymail.com zoho.com`.split(/\s+/),
);

/**
 * The domain that auto-replies to a mailbox count for; undefined for a large provider. All names below a domain count as
 * that domain, because its owner makes as many as they like.
 */
export function domainForLimits(mailbox: string): string | undefined {
  const domain = mailbox.slice(mailbox.lastIndexOf('@') + 1);
  if (largeProviders.has(domain)) return undefined;
  // Not the whole list of public suffixes: `co.uk` and the like are enough.
  return /[^.]+\.(?:(?:ac|co|com|edu|gob|gov|gv|ne|net|nom|or|org|sch)\.[a-z]{2}|[^.]+)$/.exec(domain)?.[0] ?? domain;
}
