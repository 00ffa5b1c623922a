import { runStatement, type Statement } from '../../../database/statement.ts';
import type { Scope } from '../../scope.ts';

/**
 * The number of the cluster is made by `initdb`, that of the database by `create database` and that of the table by
 * `create table`. A restore with `pg_restore` or `psql` changes at least one of them. A copy of the files (a snapshot,
 * `pg_basebackup`) keeps all three, so it is not noticed: see docs/decisions/0027-restored-queue.md.
 */
const localIdentity = `(select oid from pg_database where datname = current_database())::text || '/' || 'mail_queue'::regclass::oid::text`;

const clusterStatement: Statement = {
  name: 'cluster_identity_1',
  text: 'select system_identifier::text as id from pg_control_system()',
};

/** One statement: if a worker died between noticing and pausing, no other worker would notice. */
const adoptStatement: Statement = {
  name: 'adopt_identity_1',
  text: `
with before as materialized (select database_identity from mail_queue where id = 1 for update)
update mail_queue set
  database_identity = $1::text || '/' || ${localIdentity},
  paused_at = case when before.database_identity is null then paused_at else now() end,
  cause = case when before.database_identity is null then cause else 'restored' end,
  reason = case when before.database_identity is null then reason end
from before
where id = 1 and mail_queue.database_identity is distinct from $1::text || '/' || ${localIdentity}
returning before.database_identity is not null as restored`,
};

/**
 * Pauses the queue if this database was restored: mail that a backup lists as queued may have been sent since. An operator
 * has to look at it. The very first worker finds no identity, since there was nothing to restore.
 */
export async function pauseIfRestored(scope: Scope): Promise<void> {
  const [changed] = await runStatement<{ restored: boolean }>(scope.em, adoptStatement, [await readCluster(scope)]);
  if (changed?.restored !== true) return;
  scope.log.error(
    'this database was restored from a backup, or moved: the queue is paused, since its queued mail may have been sent already; look at that mail, then resume the queue',
  );
}

/**
 * The pause of a database that a backup is copied into, as a statement for that transaction. It also stores the new
 * identity, so that no worker pauses the queue again after the operator has resumed it.
 */
export async function restoredPause(scope: Pick<Scope, 'em'>): Promise<{ text: string; values: string[] }> {
  const text = `update mail_queue set database_identity = $1::text || '/' || ${localIdentity},
    paused_at = now(), cause = 'restored', reason = null, probed_at = now()`;
  return { text, values: [await readCluster(scope)] };
}

async function readCluster({ em }: Pick<Scope, 'em'>): Promise<string> {
  try {
    const [row] = await runStatement<{ id: string }>(em, clusterStatement, []);
    return row?.id ?? '-';
  } catch (error) {
    // Some hosts do not let ordinary users call this function. The other two numbers must be enough.
    if ((error as { code?: unknown }).code === '42501') return '-';
    throw error;
  }
}
