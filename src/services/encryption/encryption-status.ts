import type { EntityManager } from '@mikro-orm/postgresql';
import { readKeyRows } from '../../database/encryption-keys.ts';
import { runStatement } from '../../database/statement.ts';
import { isKeyOf } from '../../privacy/key-row.ts';
import { sealingKey } from '../../privacy/keyring.ts';
import type { ConfiguredKey } from '../../privacy/keyring-check.ts';
import { nameStatement, type SealedTable, sealedTableNames, sealedTables } from '../../privacy/sealed-columns.ts';

/**
 * - `seals`: stands first in the configuration, and opens too
 * - `opens`: is configured
 * - `retired`: nothing in this database needs it
 * - `missing`: values need it, or may need it, and the configuration lacks it
 * - `wrong`: the configured key is not the one of that name that the database was written with
 */
export type KeyState = 'seals' | 'opens' | 'retired' | 'missing' | 'wrong';

export interface KeyView {
  id: string;
  state: KeyState;
  configured: boolean;
  /** Rows with a value sealed with it, by table. */
  rows: Record<SealedTable, number>;
  total: number;
  /** When the newest of them came about: as long as a key seals, this goes on. */
  newestRowAt: string | null;
  addedAt: string | null;
  retiredAt: string | null;
}

export interface EncryptionStatus {
  /** What is configured in the order of the configuration, then the rest. */
  keys: KeyView[];
  /** Rows with a value that names no key at all, by table. */
  damaged: Record<SealedTable, number>;
}

/** Looks at every sealed value for the key it needs. Opens none, changes nothing, and needs no key. */
export async function readEncryptionStatus(
  em: EntityManager,
  configured: readonly ConfiguredKey[],
): Promise<EncryptionStatus> {
  const { stored, retired } = await readKeyRows(em.fork());
  const used = await countByKey(em);
  const ids = new Set([...configured, ...stored, ...retired].map((it) => it.id));
  for (const id of used.keys()) if (id !== null) ids.add(id);
  const keys = [...ids].map((id): KeyView => {
    const key = configured.find((it) => it.id === id);
    const inUse = stored.find((it) => it.id === id);
    const atRest = retired.find((it) => it.id === id);
    const { rows, newest } = used.get(id) ?? noRows();
    const total = sum(rows);
    const known = inUse ?? atRest;
    const wrong = key !== undefined && known !== undefined && !isKeyOf(known, sealingKey(id, key.secret));
    return {
      id,
      state: wrong
        ? 'wrong'
        : key !== undefined && key === configured[0]
          ? 'seals'
          : inUse === undefined && atRest !== undefined && total === 0
            ? 'retired'
            : key === undefined
              ? 'missing'
              : 'opens',
      configured: key !== undefined,
      rows,
      total,
      newestRowAt: newest === null ? null : new Date(newest).toISOString(),
      addedAt: inUse?.createdAt.toISOString() ?? null,
      retiredAt: (inUse === undefined && atRest?.retiredAt.toISOString()) || null,
    };
  });
  return { keys, damaged: used.get(null)?.rows ?? noRows().rows };
}

interface Used {
  rows: Record<SealedTable, number>;
  /** Milliseconds since 1970. */
  newest: number | null;
}

/** By the id of the key; what names none is under null. */
async function countByKey(em: EntityManager): Promise<Map<string | null, Used>> {
  const used = new Map<string | null, Used>();
  for (const table of sealedTableNames) {
    const counted = await runStatement<{ key: string | null; count: number; newest_ms: number | null }>(
      em,
      { name: nameStatement('count_keys', table), text: countStatement(table) },
      [],
    );
    for (const { key, count, newest_ms: newest } of counted) {
      const entry = used.get(key) ?? noRows();
      entry.rows[table] = count;
      if (newest !== null && (entry.newest === null || newest > entry.newest)) entry.newest = newest;
      used.set(key, entry);
    }
  }
  return used;
}

/** The layout is that of `privacy/sealing.ts`; what does not have it counts as damaged instead of failing the query. */
function countStatement(table: SealedTable): string {
  const { columns, sealedAt } = sealedTables[table];
  const values = columns.map((column) => `(${column})`).join(', ');
  return `
select needed.key, count(*)::int as count, (extract(epoch from max(${sealedAt})) * 1000)::float8 as newest_ms
from ${table} cross join lateral (
  select distinct case
    when octet_length(value) > 30 and get_byte(value, 0) = 1
    then encode(substring(value from 3 for get_byte(value, 1)), 'escape')
  end as key
  from (values ${values}) as sealed (value) where value is not null
) as needed
group by needed.key`;
}

function noRows(): Used {
  return { rows: { senders: 0, messages: 0, attempts: 0, mail_queue: 0 }, newest: null };
}

export function sum(rows: Record<SealedTable, number>): number {
  return Object.values(rows).reduce((total, it) => total + it, 0);
}
