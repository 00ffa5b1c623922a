import type { Resolver } from 'node:dns/promises';

export type SpfResolver = Pick<Resolver, 'resolveTxt' | 'resolveMx' | 'resolve4' | 'resolve6'>;

/** RFC 7208 §4.6.4: a record that needs more is a permanent error, and receivers decide what that means. */
export const maxLookups = 10;
export const maxVoidLookups = 2;

/** We stop counting here: forty look-ups are as wrong as eleven. */
const maxFollowed = 40;

/** A domain's SPF record, followed to its end as for a sender that nothing matches. */
export interface SpfReading {
  /** The records at the domain itself. Unless there is exactly one, nothing else is read. */
  records: string[];
  /** What it says about everybody else, such as `~all`, in this record or the one it redirects to. */
  all: string | undefined;
  /** Look-ups in total, and for each term of the domain's own record, in order. */
  lookups: number;
  shares: { term: string; lookups: number }[];
  /** Terms whose names do not exist. */
  voids: string[];
  /** Permanent errors, such as an include of a domain without SPF. */
  faults: string[];
  /** The term of another domain's record that lets everybody send. */
  everybody: string | undefined;
}

/** Follows `include` and `redirect` (RFC 7208 §5.2, §6.1). Terms that depend on the sender (macros, `ptr`, `exists`) are only counted. */
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
  /** The domains that led here; the last one has this record. */
  path: string[];
  /** Whether a pass here makes the whole record pass. */
  passes: boolean;
}

/** @returns what the record says about everybody else. */
async function follow(way: Way, record: string): Promise<string | undefined> {
  const { reading, path } = way;
  const terms = record.toLowerCase().split(/\s+/).slice(1);
  const end = terms.findIndex((it) => /^[-~?+]?all$/.test(it));
  // Terms after "all" are never reached, nor is a redirect beside it.
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

/** Counts the look-ups of a term of the domain's own record. */
async function counted({ reading, path }: Way, term: string, work: () => Promise<void>): Promise<void> {
  if (reading.lookups >= maxFollowed) return;
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

/** Continues in another domain's record. */
async function enter(way: Way, term: string, target: string, passes: boolean): Promise<string | undefined> {
  const { reading, resolver, path } = way;
  // A macro: which domain it is depends on the sender.
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

/** The TXT records of a name, each joined; none if the name does not exist. */
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
