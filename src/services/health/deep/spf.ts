import type { Resolver } from 'node:dns/promises';
import { bad, type Finding, good } from '../health-check.ts';

/** RFC 7208 §4.6.4: receivers treat a record that needs more as broken. */
const maxLookups = 10;

/** What following a domain's record found. */
interface Reading {
  resolver: Pick<Resolver, 'resolveTxt'>;
  lookups: number;
  /** Makes the whole record invalid, such as an include of a domain without SPF. */
  fault: string | undefined;
}

/** Whether the domain has one valid SPF record that says something about servers it does not name. */
export async function checkSpf(domain: string, resolver: Reading['resolver']): Promise<Finding> {
  const records = await readSpfRecords(resolver, domain);
  const [record] = records;
  if (record === undefined) {
    const fix = `add a TXT record at ${domain}: "v=spf1 include:<your mail service> ~all"`;
    return bad('fail', `${domain} has no SPF record`, fix);
  }
  if (records.length > 1) {
    return bad('fail', `${domain} has ${records.length} SPF records, so none counts`, 'merge them into one');
  }
  const reading: Reading = { resolver, lookups: 0, fault: undefined };
  const all = await follow(reading, record);
  if (reading.lookups > maxLookups) {
    const fact = `SPF of ${domain} needs more than ${maxLookups} look-ups, so none of it counts: ${record}`;
    return bad('fail', fact, 'remove servers and services that no longer send mail');
  }
  if (reading.fault !== undefined) {
    return bad('fail', `SPF of ${domain} has ${reading.fault}, so none of it counts`, 'correct or remove it');
  }
  const fix = 'end it with ~all or -all';
  if (all === 'all' || all === '+all') return bad('fail', `SPF of ${domain} lets everybody send (${all})`, fix);
  if (all === '?all') return bad('warn', `SPF of ${domain} is neutral about others (?all)`, fix);
  if (all === undefined && !/ redirect=\S*%/i.test(record)) {
    return bad('warn', `SPF of ${domain} says nothing about others: ${record}`, fix);
  }
  return good(`${domain}: ${record} (${reading.lookups} of ${maxLookups} look-ups)`);
}

/**
 * Counts look-ups, and follows `include` and `redirect` (RFC 7208 §5.2, §6.1) until there are too many: that also ends a
 * circle.
 *
 * @returns what the record says about everybody else, such as `~all`.
 */
async function follow(reading: Reading, record: string): Promise<string | undefined> {
  const terms = record.toLowerCase().split(/\s+/).slice(1);
  const end = terms.findIndex((it) => /^[-~?+]?all$/.test(it));
  // Terms after "all" are never reached, nor is a redirect beside it.
  const reached = end === -1 ? terms.filter((it) => !it.startsWith('redirect=')) : terms.slice(0, end);
  for (const term of reached) {
    if (!/^[-~?+]?(?:include|a|mx|ptr|exists)(?:[:/]|$)/.test(term)) continue;
    reading.lookups += 1;
    if (term.includes('include:')) await enter(reading, term);
  }
  const redirect = terms.find((it) => it.startsWith('redirect='));
  if (end !== -1 || redirect === undefined) return terms[end];
  reading.lookups += 1;
  return await enter(reading, redirect);
}

/** Continues in another domain's record. */
async function enter(reading: Reading, term: string): Promise<string | undefined> {
  const domain = term.replace(/^.*?[:=]/, '').replace(/\.$/, '');
  // With a macro (%), the domain depends on the sender.
  if (reading.lookups > maxLookups || domain.includes('%')) return undefined;
  const records = await readSpfRecords(reading.resolver, domain);
  const [record] = records;
  if (record !== undefined && records.length === 1) return await follow(reading, record);
  const count = records.length === 0 ? 'no SPF record' : `${records.length} SPF records`;
  reading.fault ??= `${term}, but ${domain} has ${count}`;
  return undefined;
}

async function readSpfRecords(resolver: Reading['resolver'], domain: string): Promise<string[]> {
  return (await readTexts(resolver, domain)).filter((it) => /^v=spf1(?: |$)/i.test(it));
}

/** The TXT records of a name, each joined; none if the name does not exist. */
export async function readTexts(resolver: Reading['resolver'], name: string): Promise<string[]> {
  return (await absentAsEmpty(() => resolver.resolveTxt(name))).map((pieces) => pieces.join(''));
}

export async function absentAsEmpty<T>(ask: () => Promise<T[]>): Promise<T[]> {
  try {
    return await ask();
  } catch (error) {
    if (['ENOTFOUND', 'ENODATA'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
