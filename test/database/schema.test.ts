import { expect } from 'chai';
import { migrateDown, migrateUp, readSchemaStatus, TablesBusy } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/index.ts';
import { commandPatience, openOrm } from '../../src/database/orm.ts';
import { createDatabase } from '../support/database.ts';

describe('the migrations', () => {
  it('make exactly the schema that the entities describe', async () => {
    await using db = await createDatabase();
    const orm = await openOrm(db.url, commandPatience);
    const missing = await orm.schema.getUpdateSchemaSQL({ wrap: false });
    await orm.close();
    expect(missing.trim()).to.equal('');
  });

  it('run once, however many machines start them at the same moment', async () => {
    await using db = await createDatabase({ empty: true });
    const orms = await Promise.all(Array.from({ length: 6 }, () => openOrm(db.url, commandPatience)));
    const applied = await Promise.all(orms.map((orm) => migrateUp(orm)));
    for (const orm of orms) await orm.close();
    expect(applied.flat()).to.deep.equal(migrations.map((it) => it.name));
  });

  it('can all be taken back, one by one, and applied again', async () => {
    await using db = await createDatabase();
    const orm = await openOrm(db.url, commandPatience);
    for (const { name } of migrations.toReversed()) expect(await migrateDown(orm)).to.deep.equal([name]);
    const tables = await db.query(`select tablename from pg_tables where schemaname = 'public'`);
    expect(tables).to.deep.equal([{ tablename: 'schema_migrations' }]);
    expect(await migrateUp(orm)).to.have.lengthOf(migrations.length);
    expect((await readSchemaStatus(orm.em.fork())).pending).to.deep.equal([]);
    await orm.close();
  });

  it('give up on tables that somebody keeps to himself, and change nothing', async () => {
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
});
