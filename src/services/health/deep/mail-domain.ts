import { Resolver } from 'node:dns/promises';
import { bad, type Finding, good } from '../health-check.ts';
import { absentAsEmpty, checkSpf, readTexts } from './spf.ts';

/** The domain of MAIL_FROM. Its DNS records decide whether receivers believe our mail. */
export interface MailDomain {
  domain: string;
  resolver: Pick<Resolver, 'resolveTxt' | 'resolveMx'>;
  /** Undefined: try the selectors of well-known mail services. */
  dkimSelector: string | undefined;
}

/** Gives up after some five seconds, since a person is waiting. */
export function openResolver(server: string | undefined): Resolver {
  const resolver = new Resolver({ timeout: 1500, tries: 2 });
  if (server !== undefined) resolver.setServers([server]);
  return resolver;
}

/** Selectors of Google, Microsoft, Fastmail, Proton, Mailchimp, Mailgun and others, and those in manuals. */
const knownSelectors =
  'google selector1 selector2 fm1 fm2 fm3 protonmail k1 k2 k3 s1 s2 mail default dkim smtp mx pm email'.split(' ');

/** Separate checks: one that fails must not hide the others. */
export function checkMailDomain(it: MailDomain) {
  return {
    spf: explained(it, () => checkSpf(it.domain, it.resolver)),
    dkim: explained(it, () => checkDkim(it)),
    dmarc: explained(it, () => checkDmarc(it)),
    mx: explained(it, () => checkMx(it)),
  };
}

/** If the DNS does not answer, that says nothing about the domain. */
async function explained({ domain }: MailDomain, check: () => Promise<Finding>): Promise<Finding> {
  if (!domain.includes('.')) {
    return bad('warn', `${domain} is not a domain on the internet`, 'set MAIL_FROM to an address of your domain');
  }
  try {
    return await check();
  } catch (error) {
    const { code, hostname, message } = error as NodeJS.ErrnoException & { hostname?: string };
    const what = hostname === undefined ? (code ?? message) : `${code} for ${hostname}`;
    return bad('warn', `the DNS does not answer (${what})`, 'try again, or set DNS_SERVER to a resolver that answers');
  }
}

async function checkDkim({ domain, resolver, dkimSelector }: MailDomain): Promise<Finding> {
  const selectors = dkimSelector === undefined ? knownSelectors : [dkimSelector];
  const found = await Promise.all(
    selectors.map(async (selector) => {
      const records = await readTexts(resolver, `${selector}._domainkey.${domain}`);
      return {
        selector,
        key: records.map((it) => /(?:^|;)\s*p=([^;\s]*)/.exec(it)?.[1]).find((it) => it !== undefined),
      };
    }),
  );
  const names = found.filter((it) => it.key).map((it) => it.selector);
  // A signature of this domain aligns with From, whatever the envelope says.
  if (names.length > 0) return good(`${domain} has a key for ${names.join(', ')}, which aligns with From`);
  const publish = 'publish the key that your mail service shows';
  const revoked = found.find((it) => it.key === '');
  if (revoked !== undefined) return bad('fail', `the key of ${revoked.selector} at ${domain} was revoked`, publish);
  if (dkimSelector !== undefined)
    return bad('fail', `there is no key at ${dkimSelector}._domainkey.${domain}`, publish);
  return bad(
    'warn',
    `no key at ${domain} under the usual names`,
    'send yourself a test mail and set DKIM_SELECTOR to the s= of its DKIM-Signature header; if it has no such header, turn on DKIM at your mail service',
  );
}

async function checkDmarc({ domain, resolver }: MailDomain): Promise<Finding> {
  for (const place of [domain, ...parents(domain)]) {
    const records = (await readTexts(resolver, `_dmarc.${place}`)).filter((it) => /^v=DMARC1\s*(?:;|$)/i.test(it));
    const [record] = records;
    if (record === undefined) continue;
    const tags = new Map(record.split(';').map((it) => it.split('=').map((part) => part.trim()) as [string, string]));
    const policy = (place === domain ? undefined : tags.get('sp')) ?? tags.get('p') ?? '';
    if (records.length > 1) return bad('fail', `${place} has ${records.length} DMARC records`, 'keep one');
    if (!/^(?:none|quarantine|reject)$/i.test(policy)) {
      return bad('fail', `DMARC of ${place} has no policy: ${record}`, 'add p=none, p=quarantine or p=reject');
    }
    // Our mail has the same address in envelope and From, so SPF aligns as long as the mail service keeps the envelope.
    return good(
      `${place}: ${record}; From and envelope are both ${domain}, so SPF aligns if the mail service keeps the envelope`,
    );
  }
  return bad(
    'warn',
    `${domain} has no DMARC record; large mailbox services require one`,
    `add a TXT record at _dmarc.${domain}: "v=DMARC1; p=none; rua=mailto:postmaster@${domain}"`,
  );
}

async function checkMx({ domain, resolver }: MailDomain): Promise<Finding> {
  const records = await absentAsEmpty(() => resolver.resolveMx(domain));
  const fix = `give ${domain} a mail server, or set MAIL_FROM to an address that receives mail`;
  if (records.some((it) => it.exchange === '' || it.exchange === '.')) {
    return bad('fail', `${domain} says that it accepts no mail (RFC 7505)`, fix);
  }
  if (records.length === 0) {
    return bad('warn', `${domain} has no MX: bounces and replies to MAIL_FROM are lost`, fix);
  }
  const names = records.toSorted((a, b) => a.priority - b.priority).map((it) => it.exchange);
  return good(`${domain} accepts mail at ${names.join(', ')}`);
}

/** `mail.example.com` has `example.com`. Without a list of public suffixes, every parent is asked. */
function parents(domain: string): string[] {
  const labels = domain.split('.');
  return labels.slice(1, -1).map((_, index) => labels.slice(index + 1).join('.'));
}
