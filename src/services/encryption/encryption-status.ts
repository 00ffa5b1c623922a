import type { EntityManager } from '@mikro-orm/postgresql';
import { readStoredKeys, sealedRows } from '../../database/encryption-keys.ts';
import { msSql } from '../../database/statement.ts';
import { isKeyOf } from '../../privacy/key-row.ts';
import { sealingKey } from '../../privacy/keyring.ts';
import type { ConfiguredKey } from '../../privacy/keyring-check.ts';
import { type SealedTable, sealedTableNames, sealedTables } from '../../privacy/sealed-columns.ts';

/**
 * - `seals`: first in the configuration; it encrypts, and decrypts too
 * - `opens`: configured; it only decrypts
 * - `missing`: not configured, although values need it or no configured key opens the index key
 * - `wrong`: configured, but another key than the one of this name that the database was written with
 */
export type KeyState = 'seals' | 'opens' | 'missing' | 'wrong';

export interface KeyView {
  id: string;
  state: KeyState;
  configured: boolean;
  /** Rows with a value that was encrypted with it, by table. */
  rows: Record<SealedTable, number>;
  total: number;
  /** When the newest of these rows was written. If it keeps changing, a program still encrypts with this key. */
  newestRowAt: string | null;
  addedAt: string | null;
}

export interface EncryptionStatus {
  /** The configured keys in their order, then the missing ones. */
  keys: KeyView[];
  /** Rows with a value that is not an encrypted one, by table. */
  damaged: Record<SealedTable, number>;
}

/** Counts which key every encrypted value needs. Decrypts nothing, so it works without any key. */
export async function readEncryptionStatus(
  em: EntityManager,
  configured: readonly ConfiguredKey[],
): Promise<EncryptionStatus> {
  const stored = await readStoredKeys(em);
  const used = await countByKey(em);
  const isWrong = ({ id, secret }: ConfiguredKey) =>
    stored.some((row) => row.id === id && !isKeyOf(row, sealingKey(id, secret)));
  const opensIndexKey = configured.some((key) => stored.some((row) => row.id === key.id) && !isWrong(key));
  const needed = [...(opensIndexKey ? [] : stored.map((it) => it.id)), ...used.keys()].filter((id) => id !== null);
  const keys = [...new Set([...configured.map((it) => it.id), ...needed])].map((id): KeyView => {
    const key = configured.find((it) => it.id === id);
    const { rows, newest } = used.get(id) ?? noRows();
    return {
      id,
      state: key === undefined ? 'missing' : isWrong(key) ? 'wrong' : key === configured[0] ? 'seals' : 'opens',
      configured: key !== undefined,
      rows,
      total: sum(rows),
      newestRowAt: newest === null ? null : new Date(newest).toISOString(),
      addedAt: stored.find((it) => it.id === id)?.createdAt.toISOString() ?? null,
    };
  });
  return { keys, damaged: used.get(null)?.rows ?? noRows().rows };
}

interface Used {
  rows: Record<SealedTable, number>;
  /** When the newest row was written, in milliseconds since 1970. */
  newest: number | null;
}

/** Counts by key id; values that name no key are counted under null. */
async function countByKey(em: EntityManager): Promise<Map<string | null, Used>> {
  const used = new Map<string | null, Used>();
  for (const table of sealedTableNames) {
    const counted = await em.execute<{ key: string | null; count: number; newest_ms: number | null }[]>(
      countStatement(table),
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

/** Reads the layout in `privacy/sealing.ts`. Other values are counted as damaged and do not fail the query. */
export function countStatement(table: SealedTable): string {
  const { columns, sealedAt } = sealedTables[table];
  const values = columns.map((column) => `(${column})`).join(', ');
  return `
select needed.key, count(*)::int as count, ${msSql(`max(${sealedAt})`)} as newest_ms
from ${sealedRows(table)} cross join lateral (
  select distinct case
    when octet_length(value) > 30 and get_byte(value, 0) = 1
    then encode(substring(value from 3 for get_byte(value, 1)), 'escape')
  end as key
  from (values ${values}) as sealed (value) where value is not null
) as needed
group by needed.key`;
}

function noRows(): Used {
  return {
    rows: { senders: 0, messages: 0, emails: 0, attempts: 0, hooks: 0, hook_attempts: 0, mail_queue: 0 },
    newest: null,
  };
}

export function sum(rows: Record<SealedTable, number>): number {
  return Object.values(rows).reduce((total, it) => total + it, 0);
}
