import { isDeepStrictEqual } from 'node:util';

type Part = [name: string, before: unknown, after: unknown];

/** What differs within a setting: each field by its name, each text by its language. Other lists are one part. */
export function changedParts(name: string, before: unknown, after: unknown): Part[] {
  if (isDeepStrictEqual(before, after)) return [];
  // A field that is new or gone is one line.
  const isWhole = (before === null || after === null) && name.includes('.');
  const [old, now] = isWhole ? [] : [byName(before), byName(after)];
  if (old === undefined || now === undefined || (old.size === 0 && now.size === 0)) return [[name, before, after]];
  const keys = [...new Set([...now.keys(), ...old.keys()])];
  const parts = keys.flatMap((key) => changedParts(`${name}.${key}`, old.get(key) ?? null, now.get(key) ?? null));
  const kept = (one: Map<string, unknown>, other: Map<string, unknown>) =>
    [...one.keys()].filter((it) => other.has(it));
  const [oldOrder, order] = [kept(old, now).join(', '), kept(now, old).join(', ')];
  return Array.isArray(after) && oldOrder !== order ? [...parts, [`${name}, in order`, oldOrder, order]] : parts;
}

/** The parts of a map, or of a list whose items have names; undefined for anything else. Nothing has no parts. */
function byName(value: unknown): Map<string, unknown> | undefined {
  if (value === null) return new Map();
  if (typeof value !== 'object') return undefined;
  if (!Array.isArray(value)) return new Map(Object.entries(value));
  const named = value.map((it: { name?: unknown }) => [it?.name, it] as const);
  return named.every(([name]) => typeof name === 'string') ? new Map(named as [string, unknown][]) : undefined;
}
