import type { EntityManager } from '@mikro-orm/postgresql';
import type { Context, DatabaseContext } from '../../context.ts';
import { holdLock } from '../../database/locks.ts';
import { createScratch, type Scratch } from '../../database/scratch.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import { placesOf, sealedTableNames, sealedTables } from '../../privacy/sealed-columns.ts';
import { SealBroken } from '../../privacy/sealing.ts';
import { checkContent } from './fit-backup.ts';
import { type Backup, BackupFault } from './manifest.ts';
import { restoreRows } from './restore-rows.ts';
import type { Copying } from './stream-files.ts';

/** One process at a time verifies beside one database. Any constant number would do. */
const verifyLock = 7_226_948;

/** The row of `duties` with the time of the newest backup that was verified. */
export const verifiedBackup = 'backup-verified';

export interface Opening {
  openDatabase: (url: string) => Promise<DatabaseContext>;
  /** Takes ownership, and checks the keys. */
  openContext: (base: DatabaseContext) => Promise<Context>;
}

/**
 * Restores a backup into a scratch database beside ours, opens the newest value of each encrypted column, and drops the
 * scratch database.
 *
 * @returns how many values were opened.
 * @throws {BackupFault}
 */
export async function verifyBackup(
  base: DatabaseContext,
  backup: Backup,
  opening: Opening,
  copying: Copying,
): Promise<number> {
  await checkContent(backup, { stop: copying.stop });
  const em = base.orm.em.fork();
  await using lock = await holdLock(em, verifyLock);
  if (lock === undefined) throw new BackupFault('another "verify" runs beside this database: wait for its end');
  await using scratch = await createScratch(em, base.databaseUrl).catch(async (error: unknown) => {
    if ((error as { code?: unknown }).code !== '42501') throw error;
    const [found] = await em.execute<{ role: string }[]>('select quote_ident(current_user) as role');
    throw new BackupFault(
      `our database user may not create the scratch database that a backup is restored into. As a superuser run: alter role ${found?.role} createdb`,
    );
  });
  const opened = await restoreAndOpen(scratch, backup, opening, copying);
  await rememberVerified(em, backup);
  return opened;
}

async function restoreAndOpen(scratch: Scratch, backup: Backup, opening: Opening, copying: Copying): Promise<number> {
  await using closing = new AsyncDisposableStack();
  const database = closing.use(await opening.openDatabase(scratch.url));
  await database.orm.em
    .fork()
    .execute(scratch.prepare)
    .catch((error: Error) => {
      const said = error.message.split(' - ').at(-1);
      throw new BackupFault(
        `the scratch database cannot be reached (${said}), perhaps through a pooler: name the server itself in DATABASE_URL`,
      );
    });
  await restoreRows(database.orm, backup, copying);
  closing.move();
  await using context = await opening.openContext(database);
  return await openNewest(context);
}

async function openNewest({ orm, keyring }: Context): Promise<number> {
  let opened = 0;
  for (const table of sealedTableNames) {
    for (const [index, column] of sealedTables[table].columns.entries()) {
      const [row] = await orm.em.fork().execute<{ id: string; value: Buffer }[]>(
        `select id::text, ${column} as value from ${table} where ${column} is not null
         order by ${sealedTables[table].sealedAt} desc nulls last limit 1`,
      );
      const place = placesOf(table, row?.id ?? '')[index];
      if (row === undefined || place === undefined) continue;
      try {
        keyring.open(row.value, place);
      } catch (error) {
        if (!(error instanceof SealBroken)) throw error;
        throw new BackupFault(`the backup cannot be read with the configured keys: ${error.message}`);
      }
      opened++;
    }
  }
  return opened;
}

/** A canary is random, so only the database of the backup, or a copy of it, has the same. */
const rememberStatement: Statement = {
  name: 'remember_verified_1',
  text: `insert into duties (name, done_at) select '${verifiedBackup}', $1::timestamptz
    where exists (select from encryption_keys where encode(canary, 'hex') = any ($2::text[]))
    on conflict (name) do update set done_at = greatest(duties.done_at, excluded.done_at)`,
};

/** In the configured database, if it is the one of the backup: health must not take another's backup for ours. */
async function rememberVerified(em: EntityManager, { manifest }: Backup): Promise<void> {
  const [found] = await em.execute<{ present: boolean }[]>(`select to_regclass('duties') is not null as present`);
  if (found?.present !== true) return;
  const canaries = manifest.keys.map(({ canary }) => Buffer.from(canary ?? '', 'base64').toString('hex'));
  await runStatement(em, rememberStatement, [manifest.snapshotAt, canaries]);
}
