import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { createMigration, migrationsFolder } from '../../src/cli/commands/new-migration.ts';
import { migrationLock } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/index.ts';
import { runHere } from '../cli/terminal.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { ruffinweb, temporaryFolder } from '../support/program.ts';
import { until } from '../support/until.ts';

describe('migrate', () => {
  const names = migrations.map((it) => it.name);
  const tables = async (db: TestDatabase) =>
    (await db.query<{ name: string }>(`select tablename as name from pg_tables where schemaname = 'public'`)).map(
      (it) => it.name,
    );

  it('updates an empty database and reverts it', async () => {
    await using db = await createDatabase({ empty: true });
    const run = (...args: string[]) => ruffinweb(['migrate', ...args], { DATABASE_URL: db.url });
    const before = await runHere(['migrate', 'check'], db);
    expect(before).to.include({ code: 4, stdout: '' });
    expect(before.stderr).to.include('run "ruffinweb migrate up"');
    const up = await run('up');
    expect(up).to.include({ code: 0, stderr: '' });
    expect(up.stdout).to.equal(names.map((name) => `applied  ${name}\n`).join(''));
    expect(await run('check')).to.include({ code: 0, stdout: 'the database schema is up to date\n', stderr: '' });
    const down = await runHere(['migrate', 'down', '--yes', '--json'], db);
    expect(JSON.parse(down.stdout)).to.deep.equal({ reverted: [names.at(-1)] });
    expect((await runHere(['migrate', 'check', '--json'], db)).code).to.equal(4);
  });

  it('is safe from several machines at once', async () => {
    await using db = await createDatabase({ empty: true });
    const runs = await Promise.all(
      Array.from({ length: 3 }, () => ruffinweb(['migrate', 'up', '--json'], { DATABASE_URL: db.url })),
    );
    expect(runs.map((it) => it.code)).to.deep.equal([0, 0, 0]);
    const applied = runs.map((it) => JSON.parse(it.stdout).applied.length);
    expect(applied.toSorted()).to.deep.equal([0, 0, names.length]);
  });

  it("ignores the database's default statement timeouts", async () => {
    await using db = await createDatabase();
    await db.query(`alter database ${db.name} set statement_timeout = '200ms'`);
    await db.query(`alter database ${db.name} set lock_timeout = '200ms'`);
    const other = await db.lockKey(BigInt(migrationLock));
    const migrating = runHere(['migrate', 'up'], db);
    await until('it has waited for the other one for longer than that', async () => {
      const waits = await db.query(`select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '500 ms'`);
      return waits.length === 1;
    }).finally(() => other.release());
    expect(await migrating).to.include({ code: 0 });
  });

  it('lists applied, pending and unknown migrations', async () => {
    await using db = await createDatabase();
    const status = async () => JSON.parse((await runHere(['migrate', 'status', '--json'], db)).stdout);
    const current = await status();
    expect(current).to.deep.equal({ applied: current.applied, pending: [], unknown: [] });
    expect(current.applied.map((it: { name: string }) => it.name)).to.deep.equal(names);
    expect(current.applied[0].appliedAt).to.match(/^\d{4}-.*Z$/);

    await db.query(`insert into schema_migrations (name, executed_at) values ('29990101000000_later', now())`);
    const newer = await runHere(['migrate', 'status'], db);
    expect(newer.stdout).to.match(/29990101000000_later +unknown/);
    const fits = await runHere(['migrate', 'check'], db);
    expect(fits.code).to.equal(0);
    expect(fits.stdout).to.include('newer than this release');

    await db.query(`insert into schema_migrations (name, executed_at) values ('29990102000000_contract_x', now())`);
    const tooNew = await runHere(['migrate', 'check', '--json'], db);
    expect(tooNew.code).to.equal(4);
    expect(JSON.parse(tooNew.stdout)).to.deep.equal({
      fits: false,
      pending: [],
      unknown: ['29990101000000_later', '29990102000000_contract_x'],
    });
    const server = await runHere(['serve'], db);
    expect(server).to.include({ code: 4, stdout: '' });
    expect(server.stderr).to.include('a newer release has removed what this one needs (29990102000000_contract_x)');
  });

  it('asks before reverting a migration, and takes no answer as no', async () => {
    await using db = await createDatabase();
    const scripted = await runHere(['migrate', 'down'], db);
    expect(scripted.code).to.equal(2);
    expect(scripted.stderr).to.include('--yes');
    const declined = await runHere(['migrate', 'down'], db, { columns: 80, types: 'n\n' });
    expect(declined.code).to.equal(1);
    expect(declined.stderr).to.include(`Revert ${names.at(-1)}?`);
    expect(await tables(db)).to.include('messages');
    const agreed = await runHere(['migrate', 'down'], db, { columns: 80, types: 'yes\n' });
    expect(agreed.code).to.equal(0);
    const { stdout } = await runHere(['migrate', 'status', '--json'], db);
    expect(JSON.parse(stdout).pending).to.deep.equal([names.at(-1)]);
  });

  it('creates an empty migration and adds it to the list', async () => {
    await using folder = await temporaryFolder();
    const place = join(folder.path, 'migrations');
    await mkdir(place);
    await copyFile(join(migrationsFolder, 'index.ts'), join(place, 'index.ts'));
    const at = new Date('2999-01-02T03:04:05Z');
    const path = await createMigration(place, 'add_block_list', at);
    await createMigration(place, 'drop_x_contract_y', new Date('2999-01-02T03:04:06Z'));
    expect(path).to.equal(join(place, '29990102030405_add_block_list.ts'));
    expect(await readFile(path, 'utf8')).to.include('export class AddBlockList extends Migration');
    const list = await readFile(join(place, 'index.ts'), 'utf8');
    expect(list).to.include(
      `import { AddBlockList } from './29990102030405_add_block_list.ts';\nimport { DropXContractY }`,
    );
    expect(list).to.match(
      /class: \w+ },\n {2}{ name: '29990102030405_add_block_list', class: AddBlockList },\n {2}{ name: '29990102030406_drop_x_contract_y', class: DropXContractY },\n\];/,
    );
    for (const [name, where, said] of [
      ['add_block_list', place, /already a migration AddBlockList/],
      ['Add-It', place, /lower-case letters/],
      ['../../x', place, /lower-case letters/],
      ['fine', folder.path, /installed package/],
    ] as const) {
      let refusal: unknown;
      await createMigration(where, name, at).catch((error: unknown) => {
        refusal = error;
      });
      expect(refusal, name).to.be.an('error').with.property('message').that.matches(said);
    }
  });
});
