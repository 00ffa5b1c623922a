import type { Resolver } from 'node:dns/promises';

export type SpfResolver = Pick<Resolver, 'resolveTxt' | 'resolveMx' | 'resolve4' | 'resolve6'>;

/** RFC 7208 §4.6.4: whoever asks for more gets a permanent error, which receivers take as they like. */
export const mostLookups = 10;
export const mostVoidLookups = 2;

/** Nobody follows further; a record that wants more is as bad as one that wants eleven. */
const mostFollowed = 40;

/** What becomes of a domain's SPF record where somebody follows all of it, as for a sender that nothing matches. */
export interface SpfReading {
  /** The records at the domain itself; of none or several nothing else is read. */
  records: string[];
  /** What it says of everybody else, such as `~all`, its own or that of where it redirects to. */
  all: string | undefined;
  /** Look-ups in all, and of each term of the domain's own record, in order. */
  lookups: number;
  shares: { term: string; lookups: number }[];
  /** Terms whose names are not there. */
  voids: string[];
  /** What makes it a permanent error, such as an include of a domain without SPF. */
  faults: string[];
  /** By which term everybody may send, where that stands in another domain's record. */
  everybody: string | undefined;
}

/** Follows `include` and `redirect` (RFC 7208 §5.2, §6.1). What depends on the sender (macros, `ptr`, `exists`) is only counted. */
export async function readSpf(resolver: SpfResolver, domain: string): Promise<SpfReading> {
  const records = await spfRecords(resolver, domain);
  const reading: SpfReading = {
    records,
    all: undefined,
    lookups: 0,
    shares: [],
    voids: [],
    faults: [],
    everybody: undefined,
  };
  const [record] = records;
  if (record !== undefined && records.length === 1) {
    reading.all = await follow({ resolver, reading, path: [domain], passes: true }, record);
  }
  return reading;
}

interface Way {
  resolver: SpfResolver;
  reading: SpfReading;
  /** The domains that led here, the one whose record it is last. */
  path: string[];
  /** Whether a pass here is a pass of the whole. */
  passes: boolean;
}

/** @returns what the record says of everybody else. */
async function follow(way: Way, record: string): Promise<string | undefined> {
  const { reading, path } = way;
  const terms = record.toLowerCase().split(/\s+/).slice(1);
  const end = terms.findIndex((it) => /^[-~?+]?all$/.test(it));
  // What stands behind "all" is never reached, and neither is a redirect beside it.
  const reached = end === -1 ? terms.filter((it) => !it.startsWith('redirect=')) : terms.slice(0, end);
  for (const term of reached) await counted(way, term, () => ask(way, term));
  let all = terms[end];
  const redirect = terms.find((it) => it.startsWith('redirect='));
  if (all === undefined && redirect !== undefined) {
    await counted(way, redirect, async () => {
      reading.lookups += 1;
      all = await enter(way, redirect, redirect.slice('redirect='.length), way.passes);
    });
  }
  if (way.passes && path.length > 1 && (all === 'all' || all === '+all')) {
    reading.everybody ??= `${all} at ${path.at(-1)}`;
  }
  return all;
}

/** Notes what a term of the domain's own record costs. */
async function counted({ reading, path }: Way, term: string, work: () => Promise<void>): Promise<void> {
  if (reading.lookups >= mostFollowed) return;
  const before = reading.lookups;
  await work();
  if (path.length === 1 && reading.lookups > before) {
    reading.shares.push({ term, lookups: reading.lookups - before });
  }
}

async function ask(way: Way, term: string): Promise<void> {
  const { reading, resolver } = way;
  const [, qualifier = '', mechanism = '', name] =
    /^([-~?+]?)(include|a|mx|ptr|exists)(?::([^/]*))?(?:\/.*)?$/.exec(term) ?? [];
  if (mechanism === '') return;
  reading.lookups += 1;
  const target = name ?? (way.path.at(-1) as string);
  if (mechanism === 'include') {
    await enter(way, term, target.replace(/\.$/, ''), way.passes && (qualifier === '' || qualifier === '+'));
  } else if (!target.includes('%') && (await isVoid(resolver, mechanism, target))) {
    reading.voids.push(name === undefined ? `${term} of ${target}` : term);
  }
}

/** Goes on in another domain's record. */
async function enter(way: Way, term: string, target: string, passes: boolean): Promise<string | undefined> {
  const { reading, resolver, path } = way;
  // Whose it is depends on the sender.
  if (target.includes('%')) return undefined;
  const here = path.at(-1);
  if (path.includes(target)) {
    reading.faults.push(`goes in a circle (${[...path, target].join(', ')})`);
    return undefined;
  }
  const records = await spfRecords(resolver, target);
  const [record] = records;
  if (record === undefined || records.length > 1) {
    const many = records.length === 0 ? 'is no SPF record' : `are ${records.length} SPF records`;
    reading.faults.push(`has ${term}${path.length > 1 ? ` (at ${here})` : ''}, where there ${many}`);
    return undefined;
  }
  return await follow({ ...way, path: [...path, target], passes }, record);
}

async function isVoid(resolver: SpfResolver, mechanism: string, target: string): Promise<boolean> {
  if (mechanism === 'mx') return (await absentAsEmpty(() => resolver.resolveMx(target))).length === 0;
  if (mechanism !== 'a') return false;
  const found = await Promise.all([
    absentAsEmpty(() => resolver.resolve4(target)),
    absentAsEmpty(() => resolver.resolve6(target)),
  ]);
  return found.flat().length === 0;
}

async function spfRecords(resolver: SpfResolver, domain: string): Promise<string[]> {
  return (await readTexts(resolver, domain)).filter((it) => /^v=spf1(?: |$)/i.test(it));
}

/** The TXT records of a name, each put together; none where there is no such name. */
export async function readTexts(resolver: Pick<Resolver, 'resolveTxt'>, name: string): Promise<string[]> {
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
