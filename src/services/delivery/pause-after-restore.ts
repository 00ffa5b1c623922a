import { runStatement, type Statement } from '../../database/statement.ts';
import type { Scope } from '../scope.ts';

/**
 * The cluster's number is made by `initdb`, the database's by `create database` and the table's by `create table`;
 * `pg_restore` and `psql` make at least one of them anew. A copy of the files (a snapshot, `pg_basebackup`) keeps
 * all three and cannot be told from the original: see docs/decisions/0027-restored-queue.md.
 */
const localIdentity = `(select oid from pg_database where datname = current_database())::text || '/' || 'mail_queue'::regclass::oid::text`;

const clusterStatement: Statement = {
  name: 'cluster_identity_1',
  text: 'select system_identifier::text as id from pg_control_system()',
};

/** One statement: a worker that dies between noticing and pausing would leave nobody to notice. */
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
 * Asked by each worker before it sends anything: is this still the database that the last worker worked on? One
 * that was restored from a backup holds mail as queued that was sent since, so its queue is paused until an
 * operator has looked. The very first worker finds no identity: there was nothing to restore.
 */
export async function pauseIfRestored(scope: Scope): Promise<void> {
  const [changed] = await runStatement<{ restored: boolean }>(scope.em, adoptStatement, [await readCluster(scope)]);
  if (changed?.restored !== true) return;
  scope.log.error(
    'this database was restored from a backup, or moved: the queue is paused, since its queued mail may have been sent already; look at that mail, then resume the queue',
  );
}

async function readCluster(scope: Scope): Promise<string> {
  try {
    const [row] = await runStatement<{ id: string }>(scope.em, clusterStatement, []);
    return row?.id ?? '-';
  } catch (error) {
    // Some hosts keep this function from ordinary users; the other two numbers have to do there.
    if ((error as { code?: unknown }).code === '42501') return '-';
    throw error;
  }
}
