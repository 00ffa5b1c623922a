import { Resolver } from 'node:dns/promises';
import type { HealthCheck } from './health-check.ts';
import { absentAsEmpty, maxLookups, maxVoidLookups, readSpf, readTexts, type SpfResolver } from './spf.ts';

/** The domain of MAIL_FROM. Its DNS records decide whether receivers believe our mail. */
export interface MailDomain {
  domain: string;
  resolver: SpfResolver;
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

type Name = Extract<HealthCheck['name'], 'spf' | 'dkim' | 'dmarc' | 'mx'>;

/** Separate checks: one that fails must not hide the others. */
export function checkMailDomain(it: MailDomain): Promise<HealthCheck>[] {
  if (!it.domain.includes('.')) {
    const fact = `${it.domain} is not a domain on the internet`;
    const fix = 'set MAIL_FROM to an address of your domain';
    return (['spf', 'dkim', 'dmarc', 'mx'] as const).map(async (name) => ({
      name,
      status: 'warn' as const,
      fact,
      fix,
    }));
  }
  return [
    explained('spf', () => checkSpf(it)),
    explained('dkim', () => checkDkim(it)),
    explained('dmarc', () => checkDmarc(it)),
    explained('mx', () => checkMx(it)),
  ];
}

/** If the DNS does not answer, that says nothing about the domain. */
async function explained(name: Name, check: () => Promise<HealthCheck>): Promise<HealthCheck> {
  try {
    return await check();
  } catch (error) {
    const { code, hostname } = error as NodeJS.ErrnoException & { hostname?: string };
    const what = hostname === undefined ? code : `${code} for ${hostname}`;
    const fix = 'try again, or set DNS_SERVER to a resolver that answers';
    return { name, status: 'warn', fact: `the DNS does not answer (${what ?? (error as Error).message})`, fix };
  }
}

async function checkSpf({ domain, resolver }: MailDomain): Promise<HealthCheck> {
  const bad = (status: 'warn' | 'fail', fact: string, fix: string): HealthCheck => ({ name: 'spf', status, fact, fix });
  const { records, all, lookups, shares, voids, faults, everybody } = await readSpf(resolver, domain);
  const [record] = records;
  const example = `"v=spf1 include:<your mail service> ~all"`;
  const end = 'end it with ~all or -all';
  if (record === undefined)
    return bad('fail', `${domain} has no SPF record`, `add a TXT record at ${domain}: ${example}`);
  if (records.length > 1) {
    return bad('fail', `${domain} has ${records.length} SPF records, so none counts`, 'merge them into one');
  }
  if (all === 'all' || all === '+all') return bad('fail', `SPF of ${domain} lets everybody send (${all})`, end);
  if (everybody !== undefined) {
    return bad('fail', `SPF of ${domain} lets everybody send (${everybody})`, 'remove that include');
  }
  if (faults.length > 0) {
    return bad('fail', `SPF of ${domain} ${faults.join(', and ')}, so none of it counts`, 'correct or remove it');
  }
  if (lookups > maxLookups) {
    const which = shares.map((it) => `${it.term} ${it.lookups}`).join(', ');
    const fact = `SPF of ${domain} asks for ${lookups} look-ups, ${maxLookups} are allowed: ${which}`;
    return bad('fail', fact, 'remove what no longer sends');
  }
  if (voids.length > maxVoidLookups) {
    const fact = `SPF of ${domain} asks for ${voids.length} names that do not exist, ${maxVoidLookups} are allowed: ${voids.join(', ')}`;
    return bad('fail', fact, 'remove them');
  }
  if (all === undefined && !/ redirect=\S*%/i.test(record)) {
    return bad('warn', `SPF of ${domain} says nothing about others: ${record}`, end);
  }
  if (all === '?all') return bad('warn', `SPF of ${domain} is neutral about others (?all)`, end);
  const told = `${domain}: ${record} (${lookups} of ${maxLookups} look-ups)`;
  return { name: 'spf', status: 'ok', fact: told, fix: null };
}

async function checkDkim({ domain, resolver, dkimSelector }: MailDomain): Promise<HealthCheck> {
  const selectors = dkimSelector === undefined ? knownSelectors : [dkimSelector];
  const found = await Promise.all(
    selectors.map(async (selector) => {
      const records = await readTexts(resolver, `${selector}._domainkey.${domain}`);
      return { selector, record: records.find((it) => /(?:^|;)\s*p=/.test(it)) };
    }),
  );
  const keys = found.filter((it) => it.record !== undefined);
  const live = keys.filter((it) => /(?:^|;)\s*p=[^;\s]/.test(it.record ?? ''));
  if (live.length > 0) {
    const names = live.map((it) => it.selector).join(', ');
    // A signature of this domain aligns with From, independent of the envelope.
    return { name: 'dkim', status: 'ok', fact: `${domain} has a key for ${names}, which aligns with From`, fix: null };
  }
  if (keys.length > 0) {
    const fix = 'publish the key that your mail service shows';
    return { name: 'dkim', status: 'fail', fact: `the key of ${keys[0]?.selector} at ${domain} was revoked`, fix };
  }
  if (dkimSelector !== undefined) {
    const fact = `there is no key at ${dkimSelector}._domainkey.${domain}`;
    return { name: 'dkim', status: 'fail', fact, fix: 'publish the key that your mail service shows' };
  }
  return {
    name: 'dkim',
    status: 'warn',
    fact: `no key at ${domain} under the usual names`,
    fix: 'send yourself a test mail and set DKIM_SELECTOR to what its DKIM-Signature header has as s=; without such a header turn DKIM on at your mail service',
  };
}

async function checkDmarc({ domain, resolver }: MailDomain): Promise<HealthCheck> {
  const places = [domain, ...parents(domain)];
  for (const place of places) {
    const records = (await readTexts(resolver, `_dmarc.${place}`)).filter((it) => /^v=DMARC1\s*(?:;|$)/i.test(it));
    const [record] = records;
    if (record === undefined) continue;
    const tags = new Map(record.split(';').map((it) => it.split('=').map((part) => part.trim()) as [string, string]));
    const policy = (place === domain ? undefined : tags.get('sp')) ?? tags.get('p');
    const bad = (status: 'warn' | 'fail', fact: string, fix: string): HealthCheck => ({
      name: 'dmarc',
      status,
      fact,
      fix,
    });
    if (records.length > 1) return bad('fail', `${place} has ${records.length} DMARC records`, 'keep one');
    if (policy === undefined || !/^(?:none|quarantine|reject)$/i.test(policy)) {
      return bad('fail', `DMARC of ${place} has no policy: ${record}`, 'add p=none, p=quarantine or p=reject');
    }
    // Our mail has the same address in envelope and From, so SPF aligns as long as the mail service keeps the envelope.
    const fact = `${place}: ${record}; From and envelope are both ${domain}, so SPF aligns if the mail service keeps the envelope`;
    return { name: 'dmarc', status: 'ok', fact, fix: null };
  }
  return {
    name: 'dmarc',
    status: 'warn',
    fact: `${domain} has no DMARC record; large mailbox services require one`,
    fix: `add a TXT record at _dmarc.${domain}: "v=DMARC1; p=none; rua=mailto:postmaster@${domain}"`,
  };
}

async function checkMx({ domain, resolver }: MailDomain): Promise<HealthCheck> {
  const records = await absentAsEmpty(() => resolver.resolveMx(domain));
  const fix = `give ${domain} a mail server, or set MAIL_FROM to an address that receives mail`;
  if (records.some((it) => it.exchange === '' || it.exchange === '.')) {
    return { name: 'mx', status: 'fail', fact: `${domain} says that it accepts no mail (RFC 7505)`, fix };
  }
  if (records.length === 0) {
    return { name: 'mx', status: 'warn', fact: `${domain} has no MX: bounces and replies to MAIL_FROM are lost`, fix };
  }
  const names = records.toSorted((a, b) => a.priority - b.priority).map((it) => it.exchange);
  return { name: 'mx', status: 'ok', fact: `${domain} takes mail at ${names.join(', ')}`, fix: null };
}

/** `mail.example.com` has `example.com`. Without a list of public suffixes, every parent is asked. */
function parents(domain: string): string[] {
  const labels = domain.split('.');
  return labels.slice(1, -1).map((_, index) => labels.slice(index + 1).join('.'));
}
