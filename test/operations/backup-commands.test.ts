import { appendFile, cp, mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { inLongTransaction } from '../../src/database/copy.ts';
import { migrationLock } from '../../src/database/migrate.ts';
import { commandPatience, openOrm } from '../../src/database/orm.ts';
import { newId } from '../../src/services/ids.ts';
import { runHere, type Screen } from '../cli/terminal.ts';
import { submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { temporaryFolder, testKeys } from '../support/program.ts';
import { type Api, openApi, startServerHere } from '../support/server-here.ts';

const people = ['ada@example.test', 'grace@example.test', 'edith@example.test'];
const ownTemplate = 'templates/notification.subject.liquid';

describe('backup', () => {
  const opened = new AsyncDisposableStack();
  let api: Api;
  let folder: string;
  /** A backup of three messages and a template. */
  let made: string;
  let data: string;
  /** Nothing may be restored into it. */
  let untouched: TestDatabase;
  let serial = 0;

  const path = (name: string) => join(folder, `${name}-${++serial}`);
  const run = (
    args: string[],
    db: Pick<TestDatabase, 'url'> = api.db,
    settings: Record<string, string> = {},
  ): Promise<Screen> => runHere(args, db, { settings: { DATA_DIR: data, ...settings } });
  const backup = (...args: string[]) => run(['backup', ...args]);
  const restoreInto = (db: TestDatabase, dir: string, settings: Record<string, string> = {}) =>
    run(['backup', 'restore', dir, '--yes', '--json'], db, { DATA_DIR: path('data'), ...settings });
  const scratches = () =>
    api.db.query<{ name: string }>(`select datname as name from pg_database where datname like 'ruffinweb_verify_%'`);
  const manifestOf = async (dir: string, change: (manifest: Record<string, unknown>) => void) => {
    const file = join(dir, 'manifest.json');
    const manifest = JSON.parse(await readFile(file, 'utf8'));
    change(manifest);
    await writeFile(file, JSON.stringify(manifest));
  };
  const tablesOf = (db: TestDatabase) => db.query(`select from pg_tables where schemaname = 'public'`);
  /** A hook for every post. */
  const addHook = async () => {
    await using context = await openTestContext(api.db);
    const id = newId();
    await api.db.query(
      `insert into hooks (id, name, kind, state, url, events, created_at)
       values ($1, 'n8n', 'webhook', 'active', $2, '{message.accepted}', now())`,
      [id, context.keyring.seal('https://n8n.test/', { table: 'hooks', column: 'url', row: id })],
    );
  };
  const checkOf = async (name: string) => {
    const { stdout } = await run(['health', '--json']);
    return JSON.parse(stdout).checks.find((it: { name: string }) => it.name === name);
  };

  before(async () => {
    folder = opened.use(await temporaryFolder()).path;
    data = join(folder, 'data');
    await mkdir(join(data, 'templates'), { recursive: true });
    await writeFile(join(data, ownTemplate), 'Ours: {{ receipt }}');
    api = opened.use(await openApi({ DATA_DIR: data, NOTIFY_TO: 'owner@site.test' }));
    untouched = opened.use(await createDatabase());
    await addHook();
    for (const email of people)
      expect((await api.http.post('/api/messages', submission({ email }))).status).to.equal(201);
    made = join(folder, 'made');
    const created = await backup('create', made, '--json');
    expect(created.code, created.stderr).to.equal(0);
  });
  after(async () => {
    await opened.disposeAsync();
  });

  describe('create', () => {
    it('writes tables and files that only the owner can read', async () => {
      const manifest = JSON.parse(await readFile(join(made, 'manifest.json'), 'utf8'));
      expect(manifest.tables.find((it: { name: string }) => it.name === 'messages')).to.include({ rows: 3 });
      expect(manifest.keys.map((it: { id: string }) => it.id)).to.deep.equal(['k1']);
      expect(manifest.files.map((it: { name: string }) => it.name)).to.deep.equal([ownTemplate]);
      const found = await readdir(made, { recursive: true, withFileTypes: true });
      for (const it of [{ parentPath: folder, name: 'made', isDirectory: () => true }, ...found]) {
        const { mode } = await stat(join(it.parentPath, it.name));
        expect(mode & 0o777, it.name).to.equal(it.isDirectory() ? 0o700 : 0o600);
      }
    });

    it('has every table of this release in it', async () => {
      const manifest = JSON.parse(await readFile(join(made, 'manifest.json'), 'utf8'));
      const rows = await api.db.query<{ name: string }>(
        `select tablename as name from pg_tables where schemaname = 'public' and tablename <> 'schema_migrations'`,
      );
      expect(manifest.tables.map((it: { name: string }) => it.name)).to.have.members(rows.map((it) => it.name));
    });

    it('names the folders that killed runs left', async () => {
      const left = join(folder, 'old.part-0123abcd');
      await mkdir(left);
      const created = await backup('create', path('backup'));
      expect(created.stderr).to.include(left);
      await rm(left, { recursive: true });
    });

    const refusals: Record<string, () => Promise<{ dir: string; says: string; settings?: Record<string, string> }>> = {
      'an existing folder': async () => ({ dir: made, says: 'exists already' }),
      'an existing empty folder': async () => {
        const dir = path('empty');
        await mkdir(dir);
        return { dir, says: 'exists already' };
      },
      'a link to nothing': async () => {
        const dir = path('link');
        await symlink(join(folder, 'missing'), dir);
        return { dir, says: 'exists already' };
      },
      'a folder in a missing one': async () => ({ dir: join(folder, 'missing', 'x'), says: 'create it first' }),
      'a folder where nothing can be written': async () => ({
        dir: '/proc/x',
        says: `user id ${process.getuid?.()} cannot write in /proc`,
      }),
      'the folder of the key file': async () => {
        const keys = path('keys');
        await mkdir(keys);
        await writeFile(join(keys, 'k'), testKeys);
        return { dir: join(keys, 'x'), says: 'holds the keys', settings: { ENCRYPTION_KEYS_FILE: join(keys, 'k') } };
      },
      'a folder below that of the key file, by a link': async () => {
        const keys = path('keys');
        await mkdir(join(keys, 'deep'), { recursive: true });
        await writeFile(join(keys, 'k'), testKeys);
        const link = path('link');
        await symlink(join(keys, 'deep'), link);
        return { dir: join(link, 'x'), says: 'holds the keys', settings: { ENCRYPTION_KEYS_FILE: join(keys, 'k') } };
      },
      'the folder that a linked key file is in': async () => {
        const keys = path('keys');
        await mkdir(keys);
        await writeFile(join(keys, 'k'), testKeys);
        const link = path('link');
        await symlink(join(keys, 'k'), link);
        return { dir: join(keys, 'x'), says: 'holds the keys', settings: { ENCRYPTION_KEYS_FILE: link } };
      },
      "the data folder that has the program's own keys": async () => {
        const own = path('data');
        await mkdir(own);
        await writeFile(join(own, 'encryption.keys'), testKeys);
        return { dir: join(own, 'x'), says: 'holds the keys', settings: { DATA_DIR: own } };
      },
    };
    for (const [place, prepare] of Object.entries(refusals)) {
      it(`refuses ${place}`, async () => {
        const { dir, says, settings } = await prepare();
        const refused = await run(['backup', 'create', dir], api.db, settings);
        expect(refused).to.include({ code: 1, stdout: '' });
        expect(refused.stderr).to.include(says);
        expect((await readdir(folder, { recursive: true })).filter((it) => it.includes('.part-'))).to.deep.equal([]);
      });
    }

    it('takes its snapshot after a migration has released the tables', async () => {
      const migrating = await api.db.lockTable('messages');
      // The data folder has no keys here.
      const dir = join(data, 'backup');
      const creating = backup('create', dir, '--json');
      await api.db.waitingForLocks(1);
      await api.db.query(`insert into duties (name, done_at) values ('of the migration', now())`);
      await migrating.release();
      const created = JSON.parse((await creating).stdout);
      const duties = await api.db.query('select from duties');
      expect(created.manifest.tables.find((it: { name: string }) => it.name === 'duties').rows).to.equal(duties.length);
    });

    it('has none of the time limits of the database', async () => {
      const limits = await untouched.query<{ name: string }>(
        `select name from pg_settings where name ~ '^(statement|lock|idle_in_transaction_session|transaction)_timeout$'`,
      );
      for (const { name } of limits) await untouched.query(`alter database ${untouched.name} set ${name} = '2s'`);
      const orm = await openOrm(untouched.url, commandPatience);
      try {
        const { rows } = await inLongTransaction(orm.em.fork(), 'begin', async (client) => {
          return await client.query('select name, setting from pg_settings where name = any($1)', [
            limits.map((it) => it.name),
          ]);
        });
        expect(rows).to.have.deep.members(limits.map(({ name }) => ({ name, setting: '0' })));
      } finally {
        await orm.close();
        await untouched.query(`alter database ${untouched.name} reset all`);
      }
    });

    it('refuses an empty database, and leaves nothing', async () => {
      await using other = await createDatabase({ empty: true });
      const dir = path('backup');
      const refused = await run(['backup', 'create', dir], other);
      expect(refused.code).to.equal(1);
      expect(refused.stderr).to.include('nothing to back up');
      expect((await readdir(folder)).filter((it) => join(folder, it).startsWith(dir))).to.deep.equal([]);
    });

    it('refuses a column of its own, which no restore could fill', async () => {
      await api.db.query('alter table forms add note text');
      try {
        const refused = await backup('create', path('backup'));
        expect(refused).to.include({ code: 1, stdout: '' });
        expect(refused.stderr).to.include('forms.note');
      } finally {
        await api.db.query('alter table forms drop note');
      }
    });

    it('refuses a schema that a newer release has changed', async () => {
      await using newer = await createDatabase();
      await newer.query(`insert into schema_migrations (name) values ('20991231000000_later')`);
      const refused = await run(['backup', 'create', path('backup')], newer);
      expect(refused.code).to.equal(1);
      expect(refused.stderr).to.include('20991231000000_later');
    });
  });

  describe('verify', () => {
    it('restores, decrypts, drops its scratch databases, and tells health', async () => {
      const [own] = await api.db.query<{ oid: string }>(
        'select oid::text from pg_database where datname = current_database()',
      );
      expect(await checkOf('backup')).to.equal(undefined);
      // A killed run left the first one; the second belongs to another installation on this server.
      const [left, others] = [`ruffinweb_verify_${own?.oid}_0123abcd`, 'ruffinweb_verify_1_0123abcd'];
      for (const name of [left, others]) await api.db.query(`create database ${name}`);
      try {
        const verified = await backup('verify', made);
        expect(verified.code, verified.stderr).to.equal(0);
        expect(verified.stdout).to.match(/3 messages.*verified/s);
        expect((await scratches()).map((it) => it.name)).to.deep.equal([others]);
      } finally {
        await api.db.query(`drop database ${others}`);
      }
      expect(await checkOf('backup')).to.include({ status: 'ok' });
      await api.db.query(`update duties set done_at = now() - interval '50 hours' where name = 'backup-verified'`);
      const late = await checkOf('backup');
      expect(late).to.include({ status: 'warn' });
      expect(late.fix).to.include('ruffinweb backup create');
    });

    it('does not tell health about a backup of another database', async () => {
      await using other = await createDatabase();
      await run(['senders', 'list'], other);
      expect((await run(['backup', 'verify', made], other)).code).to.equal(0);
      expect(await other.query(`select from duties where name = 'backup-verified'`)).to.deep.equal([]);
    });

    it('works with a search path that names a schema of ours', async () => {
      await api.db.query(`create schema ours`);
      await api.db.query(`create role pathed superuser login password 'pathed'`);
      await api.db.query(`alter role pathed set search_path = ours`);
      const as = (db: TestDatabase) => ({
        url: Object.assign(new URL(db.url), { username: 'pathed', password: 'pathed' }).href,
      });
      try {
        const verified = await run(['backup', 'verify', made], as(api.db));
        expect(verified.code, verified.stderr).to.equal(0);
        await using other = await createDatabase({ empty: true });
        const refused = await run(['backup', 'restore', made, '--yes'], as(other));
        expect(refused.code).to.equal(1);
        expect(refused.stderr).to.include('create the schema');
      } finally {
        await api.db.query('drop role pathed');
        await api.db.query('drop schema ours');
      }
    });

    it('explains a missing right to create databases', async () => {
      await api.db.query(`create role narrow login password 'narrow'`);
      const url = new URL(api.db.url);
      [url.username, url.password] = ['narrow', 'narrow'];
      try {
        const refused = await run(['backup', 'verify', made], { url: url.href });
        expect(refused.code).to.equal(1);
        expect(refused.stderr).to.include('alter role narrow createdb');
      } finally {
        await api.db.query('drop role narrow');
      }
    });

    it('lets one run at a time work beside a database', async () => {
      await using _held = { [Symbol.asyncDispose]: (await api.db.lockKey(7_226_948n)).release };
      expect((await backup('verify', made)).stderr).to.include('another "verify" runs');
    });
  });

  describe('restore', () => {
    it('fills an empty database, and pauses mail once', async () => {
      await using other = await createDatabase({ empty: true });
      const settings = { DATA_DIR: path('data') };
      const templates = path('templates');
      for (const it of [settings.DATA_DIR, templates]) await mkdir(it);
      await symlink(templates, join(settings.DATA_DIR, 'templates'));
      const restored = await restoreInto(other, made, settings);
      expect(restored.code, restored.stderr).to.equal(0);
      const report = JSON.parse(restored.stdout);
      expect(report).to.include({ templates: 'restored', queued: 6 });
      expect(Date.parse(report.queuedSince)).to.be.at.most(Date.parse(report.manifest.snapshotAt));
      expect(await readFile(join(settings.DATA_DIR, ownTemplate), 'utf8')).to.equal('Ours: {{ receipt }}');
      const senders = await run(['senders', 'list', '--json'], other);
      expect(JSON.parse(senders.stdout).items.map((it: { email: string }) => it.email)).to.have.members(people);
      for (const table of ['hooks', 'hook_deliveries']) {
        const rows = (db: TestDatabase) => db.query(`select * from ${table} order by id`);
        expect(await rows(other), table).to.deep.equal(await rows(api.db));
      }
      expect((await other.query('select from hook_deliveries')).length).to.equal(3);
      expect((await run(['deliver', '--once'], other, settings)).stdout).to.include('mail is paused: 6 due');
      expect((await run(['emails', 'resume'], other)).stdout).to.equal('mail goes on\n');
      await run(['deliver', '--once'], other, settings);
      expect(await readdir(join(settings.DATA_DIR, 'mail'))).to.have.lengthOf(6);

      const again = await restoreInto(other, made);
      expect(again.code).to.equal(1);
      expect(again.stderr).to.include('already has senders, messages or emails');
    });

    it('names the encoding that lacks a character', async () => {
      await using other = await createDatabase({ empty: true });
      const name = `${other.name}_latin1`;
      await other.query(`create database ${name} encoding 'LATIN1' locale 'C' template template0`);
      await api.db.query(`insert into duties (name, done_at) values ('€', now())`);
      try {
        const dir = path('backup');
        await backup('create', dir);
        const refused = await run(['backup', 'restore', dir, '--yes'], { url: other.url.replace(other.name, name) });
        expect(refused.code).to.equal(1);
        expect(refused.stderr).to.match(/LATIN1.*create it with ENCODING 'UTF8'/);
      } finally {
        await api.db.query(`delete from duties where name = '€'`);
        await other.query(`drop database ${name}`);
      }
    });

    it('brings the schema of a backup to the newest, on any empty schema', async () => {
      await using old = await createDatabase();
      await restoreInto(old, made);
      await run(['migrate', 'down', '--yes'], old);
      await run(['migrate', 'down', '--yes'], old);
      const dir = path('backup');
      expect((await run(['backup', 'create', dir], old)).code).to.equal(0);
      await using migrated = await createDatabase();
      const restored = await restoreInto(migrated, dir);
      expect(restored.code, restored.stderr).to.equal(0);
      expect(await migrated.count('messages')).to.equal(3);
      expect((await run(['migrate', 'check'], migrated)).code).to.equal(0);
      expect((await run(['messages', 'list'], migrated)).stdout).to.include('ada@example.test');
    });

    it('says that there is no erasure log, or what to do with a torn one', async () => {
      const settings = { DATA_DIR: path('data') };
      for (const says of [`nobody: no erasure log in ${settings.DATA_DIR}/erasures.jsonl`, 'erased again  nobody\n']) {
        await using other = await createDatabase({ empty: true });
        const { stdout, stderr } = await run(['backup', 'restore', made, '--yes'], other, settings);
        expect(stdout).to.include(says);
        expect(`${stdout}${stderr}`.includes('senders erase --replay')).to.equal(true);
        await mkdir(settings.DATA_DIR, { recursive: true });
        await writeFile(join(settings.DATA_DIR, 'erasures.jsonl'), 'torn');
      }
    });

    it('erases again who is in either erasure log, and keeps templates', async () => {
      await using copy = await createDatabase();
      const [before, after] = [{ DATA_DIR: path('data') }, { DATA_DIR: path('data') }];
      await restoreInto(copy, made, before);
      await mkdir(join(after.DATA_DIR, 'templates'), { recursive: true });
      await writeFile(join(after.DATA_DIR, 'templates', '_own.liquid'), 'mine');
      await run(['senders', 'erase', '--email', people[0] ?? '', '--yes'], copy, before);
      await run(['senders', 'erase', '--email', people[1] ?? '', '--yes'], copy, after);
      const [log, ownLog] = [before, after].map((it) => join(it.DATA_DIR, 'erasures.jsonl')) as [string, string];
      await appendFile(ownLog, '{"erasedAt":"torn');
      // The log has a line that the tables lack, as when somebody is erased during a backup.
      const dir = path('backup');
      await run(['backup', 'create', dir], api.db, before);

      await using other = await createDatabase();
      const restored = await restoreInto(other, dir, after);
      expect(restored.code, restored.stderr).to.equal(0);
      const report = JSON.parse(restored.stdout);
      expect(report.erasures).to.deep.equal({ records: 2, messages: 2, senders: 2 });
      expect(report).to.include({ templates: 'kept', strangeLines: 1 });
      const senders = await run(['senders', 'list', '--json'], other);
      expect(JSON.parse(senders.stdout).items.map((it: { email: string }) => it.email)).to.deep.equal([people[2]]);
      expect(await readFile(ownLog, 'utf8')).to.include((await readFile(log, 'utf8')).trim());
      expect(await readdir(join(after.DATA_DIR, 'templates'))).to.deep.equal(['_own.liquid']);

      // Another restore would forget who was erased.
      await run(['senders', 'erase', '--email', people[2] ?? '', '--yes'], other, after);
      expect((await restoreInto(other, made)).stderr).to.include('remembers erased');
    });

    it('refuses a database that a server uses, also one that starts meanwhile', async () => {
      await using other = await createDatabase();
      const older = path('older');
      await cp(made, older, { recursive: true });
      await manifestOf(older, (it) => (it.migrations as string[]).pop());
      const migrating = await other.lockKey(BigInt(migrationLock));
      const restoring = restoreInto(other, made);
      await other.waitingForLocks(1);
      const server = await startServerHere({ DATABASE_URL: other.url });
      try {
        await migrating.release();
        for (const refused of [await restoring, await restoreInto(other, older)]) {
          expect(refused.code).to.equal(1);
          expect(refused.stderr).to.include('a server or worker uses this database');
        }
        for (const table of ['forms', 'encryption_keys'])
          expect(await other.query(`select from ${table}`), table).to.have.lengthOf(1);
      } finally {
        await server[Symbol.asyncDispose]();
      }
      expect((await restoreInto(other, made)).code).to.equal(0);
      const found = await run(['senders', 'show', '--email', people[0] ?? ''], other);
      expect(found.stdout).to.include(people[0]);
    });

    it('leaves a table of another program that has one of our names', async () => {
      await using other = await createDatabase({ empty: true });
      await other.query(`create table messages (theirs text); insert into messages values ('kept')`);
      const refused = await restoreInto(other, made);
      expect(refused.code).to.equal(1);
      expect(refused.stderr).to.include('a table of another program');
      expect(await other.query('select theirs from messages')).to.deep.equal([{ theirs: 'kept' }]);
    });

    it('asks first', async () => {
      await using other = await createDatabase({ empty: true });
      const refused = await run(['backup', 'restore', made], other);
      expect(refused).to.include({ code: 2 });
      expect(refused.stderr).to.include('pass --yes');
      expect(await tablesOf(other)).to.deep.equal([]);
    });
  });

  describe('a backup that cannot be used', () => {
    const table = (dir: string) => join(dir, 'tables', 'messages.copy');
    type Fault = [what: string, damage: (dir: string) => Promise<void>, says: string];
    const faults: Fault[] = [
      ['no folder', (dir) => rm(dir, { recursive: true }), 'does not exist'],
      [
        'a folder as its manifest',
        async (dir) => {
          await rm(join(dir, 'manifest.json'));
          await mkdir(join(dir, 'manifest.json'));
        },
        'manifest.json cannot be used: EISDIR',
      ],
      [
        'a folder as a table',
        async (dir) => {
          await rm(table(dir));
          await mkdir(table(dir));
        },
        'messages.copy cannot be used: EISDIR',
      ],
      ['no manifest', (dir) => rm(join(dir, 'manifest.json')), 'no manifest.json'],
      ['half a manifest', (dir) => truncate(join(dir, 'manifest.json'), 300), 'manifest.json is damaged'],
      ['a manifest of numbers', (dir) => writeFile(join(dir, 'manifest.json'), '17'), 'manifest.json is damaged'],
      ['a manifest without tables', (dir) => manifestOf(dir, (it) => delete it.tables), 'damaged, at "tables"'],
      ['a later format', (dir) => manifestOf(dir, (it) => Object.assign(it, { format: 2, program: '9.9.9' })), '9.9.9'],
      [
        'a later schema',
        (dir) => manifestOf(dir, (it) => Object.assign(it, { migrations: ['20991231000000_later'], program: '9.9.9' })),
        '9.9.9',
      ],
      [
        'a file outside its folder',
        (dir) => manifestOf(dir, (it) => Object.assign((it.files as object[])[0] ?? {}, { name: 'templates/../../x' })),
        'damaged, at "files.0.name"',
      ],
      [
        'a table with a strange name',
        (dir) => manifestOf(dir, (it) => Object.assign((it.tables as object[])[0] ?? {}, { name: '"; drop' })),
        'damaged, at "tables.0.name"',
      ],
      [
        'an unknown column',
        (dir) => manifestOf(dir, (it) => Object.assign((it.tables as object[])[0] ?? {}, { columns: ['No'] })),
        'are not those of its migrations (alerts.No)',
      ],
      ['a missing table', (dir) => rm(table(dir)), 'is missing'],
      ['a missing template', (dir) => rm(join(dir, 'files', ownTemplate)), 'is missing'],
      ['half a table', (dir) => truncate(table(dir), 100), 'has changed'],
      [
        'a changed byte',
        async (dir) => {
          const bytes = await readFile(table(dir));
          bytes[200] = (bytes[200] ?? 0) ^ 1;
          await writeFile(table(dir), bytes);
        },
        'has changed',
      ],
      ['a changed template', (dir) => writeFile(join(dir, 'files', ownTemplate), 'x'), 'has changed'],
    ];
    for (const [what, damage, says] of faults) {
      it(`is refused: ${what}`, async () => {
        const dir = path('copy');
        await cp(made, dir, { recursive: true });
        await damage(dir);
        for (const screen of [await restoreInto(untouched, dir), await backup('verify', dir)]) {
          expect(screen).to.include({ code: 1, stdout: '' });
          expect(screen.stderr).to.include(says);
        }
        expect(await untouched.count('senders')).to.equal(0);
        expect(await untouched.query('select from forms')).to.have.lengthOf(1);
        expect(await scratches()).to.deep.equal([]);
      });
    }

    it('is refused: no name, or the folder of several backups', async () => {
      const all = path('all');
      for (const it of ['20261101T000000Z', '20261102T000000Z', 'unverified-20261103T000000Z'])
        await cp(made, join(all, it), { recursive: true });
      expect((await restoreInto(untouched, all)).stderr).to.include(
        `holds 3 backups: name one, as in ${all}/20261102T`,
      );
      expect((await backup('verify', '')).stderr).to.include('the name of the backup is empty');
    });

    it('is refused: a manifest without a table', async () => {
      const dir = path('copy');
      await cp(made, dir, { recursive: true });
      await manifestOf(dir, (it) => (it.tables as object[]).pop());
      expect((await restoreInto(untouched, dir)).stderr).to.include('are not those of its migrations (used_captchas)');
      expect(await untouched.query('select from forms')).to.have.lengthOf(1);
    });

    const otherKey = Buffer.alloc(32, 1).toString('base64');
    for (const [what, keys, says] of [
      ['another key of that name', `k1:${otherKey}`, 'is not the key "k1"'],
      ['without its key', `k2:${otherKey}`, 'needs key "k1"'],
    ] as const) {
      it(`is refused before anything is written: ${what}`, async () => {
        await using other = await createDatabase({ empty: true });
        const settings = { ENCRYPTION_KEYS: keys };
        for (const screen of [
          await restoreInto(other, made, settings),
          await run(['backup', 'verify', made], other, settings),
        ]) {
          expect(screen).to.include({ code: 2, stdout: '' });
          expect(screen.stderr).to.include(says).and.include('from ENCRYPTION_KEYS; ENCRYPTION_KEYS_FILE is ignored');
          expect(screen.stderr).to.not.include('encryption status');
        }
        expect(await tablesOf(other)).to.deep.equal([]);
      });
    }

    it('is refused without keys, and says where to put them', async () => {
      const { code, stderr } = await runHere(['backup', 'verify', made], api.db, {
        settings: { DATA_DIR: data, ENCRYPTION_KEYS: '' },
        sources: { ENCRYPTION_KEYS: 'default' },
      });
      expect(code).to.equal(2);
      expect(stderr).to.include('encryption.keys, which is missing');
      expect(stderr).to.include(`ENCRYPTION_KEYS_FILE to your copy of the keys, or put it at ${data}/encryption.keys`);
    });
  });
});
