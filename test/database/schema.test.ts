import { expect } from 'chai';
import pg from 'pg';
import { migrateDown, migrateUp, readSchemaStatus, TablesBusy } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/index.ts';
import { commandPatience, openOrm } from '../../src/database/orm.ts';
import { sealedTableNames, sealedTables } from '../../src/privacy/sealed-columns.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { readDocument } from '../support/documents.ts';

/** Keyed hashes (`privacy/keyring.ts`), and the hash of an API key. */
const hashes = [
  'api_keys.hash',
  'imported_rows.print',
  'message_keys.fingerprint',
  'message_keys.key',
  'messages.text_index',
  'recent_posts.fingerprint',
  'erasures.address_index',
  'reply_days.address_index',
  'reply_limits.key',
  'senders.address_index',
  'suppressions.address_index',
];

/** Each one is encrypted with the key it belongs to. */
const ofKeys = ['encryption_keys.canary', 'encryption_keys.wrapped_index_key', 'retired_keys.canary'];

describe('migrations', () => {
  it('create exactly the schema that the entities describe', async () => {
    await using db = await createDatabase();
    const orm = await openOrm(db.url, commandPatience);
    const missing = await orm.schema.getUpdateSchemaSQL({ wrap: false });
    await orm.close();
    expect(missing.trim()).to.equal('');
  });

  it('have byte columns only for encrypted data, hashes and keys', async () => {
    await using db = await createDatabase();
    const rows = await db.query<{ name: string }>(
      `select table_name || '.' || column_name as name from information_schema.columns
       where table_schema = 'public' and data_type = 'bytea'`,
    );
    const sealed = sealedTableNames.flatMap((table) => sealedTables[table].columns.map((it) => `${table}.${it}`));
    expect(rows.map((row) => row.name)).to.have.members([...sealed, ...hashes, ...ofKeys]);
  });

  it('make no table and no encrypted column that docs/privacy.md does not name', async () => {
    await using db = await createDatabase();
    const tables = await db.query<{ tablename: string }>(
      `select tablename from pg_tables where schemaname = 'public' and tablename <> 'schema_migrations'`,
    );
    const sealed = sealedTableNames.flatMap((table) => sealedTables[table].columns.map((it) => `${table}.${it}`));
    const names = [...tables.map((it) => it.tablename), ...sealed];
    const page = readDocument('docs/privacy.md');
    expect(names.filter((it) => !new RegExp(`\`${it}[\`.]`).test(page))).to.deep.equal([]);
  });

  it('run once, even if many machines start them together', async () => {
    await using db = await createDatabase({ empty: true });
    const orms = await Promise.all(Array.from({ length: 6 }, () => openOrm(db.url, commandPatience)));
    const applied = await Promise.all(orms.map((orm) => migrateUp(orm)));
    for (const orm of orms) await orm.close();
    expect(applied.flat()).to.deep.equal(migrations.map((it) => it.name));
  });

  it('go back with messages without a sender, and keep them', async () => {
    await using db = await createDatabase();
    const orm = await openOrm(db.url, commandPatience);
    await db.query(`insert into messages (id, receipt, form_id, status, content, other_addresses, received_at)
      select gen_random_uuid(), 'RW-0000000000', id, 'accepted', '', '{00}', now() from forms`);
    while (!(await migrateDown(orm)).includes('20261230100000_any_form'));
    expect(await db.query('select sender_id, receipt from messages')).to.deep.equal([
      { sender_id: null, receipt: 'RW-0000000000' },
    ]);
    await migrateUp(orm);
    await orm.close();
    expect(await db.query('select other_addresses from messages')).to.deep.equal([{ other_addresses: null }]);
  });

  it('can all be reverted one by one and applied again', async () => {
    await using db = await createDatabase();
    const orm = await openOrm(db.url, commandPatience);
    for (const { name } of migrations.toReversed()) expect(await migrateDown(orm)).to.deep.equal([name]);
    const tables = await db.query(`select tablename from pg_tables where schemaname = 'public'`);
    expect(tables).to.deep.equal([{ tablename: 'schema_migrations' }]);
    expect(await migrateUp(orm)).to.have.lengthOf(migrations.length);
    expect((await readSchemaStatus(orm.em.fork())).pending).to.deep.equal([]);
    await orm.close();
  });

  it('delete on revert only failure reasons that are new', async () => {
    await using db = await createDatabase();
    await db.query(
      `insert into emails (id, kind, state, recipient, due_at, internet_message_id, created_at, failure)
       select gen_random_uuid(), 'held-summary', 'cancelled', 'owner@site.test', now(), reason, now(), reason
       from unnest(array['digest', 'nothing-held', 'too-late', 'unwanted', 'refused']) as reason`,
    );
    const orm = await openOrm(db.url, commandPatience);
    for (let left = migrations.length; left > 0; left--) {
      if ((await migrateDown(orm))[0] === '20261127110000_cancel_reasons') break;
    }
    await orm.close();
    const rows = await db.query('select internet_message_id as was, failure from emails order by 1');
    expect(rows).to.deep.equal([
      { was: 'digest', failure: null },
      { was: 'nothing-held', failure: null },
      { was: 'refused', failure: 'refused' },
      { was: 'too-late', failure: null },
      { was: 'unwanted', failure: null },
    ]);
    const refusal = await db.query(`update emails set failure = 'too-late'`).catch((error: Error) => error.message);
    expect(refusal).to.include('emails_failure_check');
  });

  it('turn the result "away" into "later" on revert', async () => {
    await using db = await createDatabase();
    await db.query(
      `with email as (
        insert into emails (id, kind, state, recipient, due_at, internet_message_id, created_at)
        values (gen_random_uuid(), 'held-summary', 'queued', 'owner@site.test', now(), '<1@site.test>', now()) returning id)
       insert into attempts (id, email_id, outcome, finished_at)
       select gen_random_uuid(), id, outcome, now() from email, unnest(array['away', 'broken']) as outcome`,
    );
    const orm = await openOrm(db.url, commandPatience);
    while ((await migrateDown(orm))[0] !== '20261201100000_away_and_unsent') {}
    await orm.close();
    const outcomes = await db.query('select outcome from attempts order by outcome');
    expect(outcomes).to.deep.equal([{ outcome: 'broken' }, { outcome: 'later' }]);
  });

  it('give up on a locked table and change nothing', async () => {
    await using db = await createDatabase();
    const orm = await openOrm(db.url, commandPatience);
    const before = await readSchemaStatus(orm.em.fork());
    const reader = await db.lockTable('schema_migrations', 'share');
    let waited = 0;
    const refusal = await migrateDown(orm, { tries: 2, waiting: () => waited++ }).catch((error: unknown) => error);
    await reader.release();
    expect(refusal).to.be.instanceOf(TablesBusy);
    expect(waited).to.equal(1);
    expect(await readSchemaStatus(orm.em.fork())).to.deep.equal(before);
    await orm.close();
  });

  it('start again after a deadlock', async () => {
    await using db = await createDatabase();
    const before = await openOrm(db.url, commandPatience);
    while (await isThere(db, 'forms', 'retention_days')) await migrateDown(before);
    await before.close();
    await db.query(`alter database ${db.name} set deadlock_timeout = '50ms'`);
    const orm = await openOrm(db.url, commandPatience);
    const other = new pg.Client({ connectionString: db.url });
    await other.connect();
    // The first to look for a deadlock gives up: make sure it is not this one.
    await other.query(`set deadlock_timeout = '1min'; begin; lock table messages in access share mode`);
    const reader = await db.lockTable('forms', 'access share');
    const migrating = migrateUp(orm);
    await db.waitingForLocks(1);
    let got = false;
    const wanted = other.query('lock table forms in access share mode').then(() => {
      got = true;
    });
    await db.waitingForLocks(2, () => got);
    await reader.release();
    await wanted;
    await other.query('commit');
    await other.end();
    expect(await migrating).to.not.be.empty;
    expect(await isThere(db, 'forms', 'retention_days')).to.equal(true);
    await orm.close();
  });
});

async function isThere(db: TestDatabase, table: string, column: string): Promise<boolean> {
  const found = await db.query('select from information_schema.columns where table_name = $1 and column_name = $2', [
    table,
    column,
  ]);
  return found.length > 0;
}
