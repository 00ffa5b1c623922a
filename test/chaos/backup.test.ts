import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkContent } from '../../src/services/backup/fit-backup.ts';
import { readBackup } from '../../src/services/backup/manifest.ts';
import { newId } from '../../src/services/ids.ts';
import { openContent, sealContent } from '../../src/services/sealed-values.ts';
import { clientOf, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { PostLoad } from '../support/post-load.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { chaosSeed, randomFrom } from '../support/random.ts';
import { until } from '../support/until.ts';

const kills = 20;
const stored = 30_000;
const template = 'templates/notification.subject.liquid';

/** Run a failure again with the printed `CHAOS_SEED`. */
describe('backups under load, killed at random moments', () => {
  const seed = chaosSeed();
  const random = randomFrom(seed);
  const opened = new AsyncDisposableStack();
  let db: TestDatabase;
  let folder: string;
  let settings: Settings;
  let server: RunningServer;

  const run = async (args: string[], more: Settings = {}) => {
    const done = await ruffinweb(['backup', ...args], { ...settings, ...more });
    expect(done.code, done.stderr).to.equal(0);
  };
  const unfinished = async () => (await readdir(folder)).filter((it) => it.includes('.part-'));
  const removeUnfinished = async () => {
    for (const name of await unfinished()) await rm(join(folder, name), { recursive: true });
  };

  before(async () => {
    console.log(`    CHAOS_SEED=${seed}`);
    db = opened.use(await createDatabase());
    folder = opened.use(await temporaryFolder()).path;
    settings = { DATABASE_URL: db.url, DATA_DIR: join(folder, 'data'), NOTIFY_TO: 'owner@site.test' };
    await mkdir(join(folder, 'data', 'templates'), { recursive: true });
    await writeFile(join(folder, 'data', template), 'Ours: {{ receipt }}');
    server = opened.use(await RunningServer.start(settings, ['serve', '--no-deliver']));
    expect((await clientOf(server.url).post('/api/messages', submission())).status).to.equal(201);
    await fill(db, stored);
  });
  after(async () => {
    await opened.disposeAsync();
  });

  it('refuse no post, and contain what was stored before', async () => {
    await using load = new PostLoad([server.url]);
    await load.goesOn();
    const before = load.acknowledged.map((it) => it.receipt);
    const dir = join(folder, 'loaded');
    await run(['create', dir]);
    await run(['verify', dir]);
    await load.stop();
    expect(load.failures).to.deep.equal([]);
    await using other = await createDatabase({ empty: true });
    await run(['restore', dir, '--yes'], { DATABASE_URL: other.url, DATA_DIR: join(folder, 'other') });
    const rows = await other.query<{ receipt: string }>('select receipt from messages');
    expect(rows.map((it) => it.receipt)).to.include.members(before);
  });

  it('look finished only if they are', async () => {
    const complete = await readBackup(join(folder, 'loaded'));
    const size = complete.manifest.tables.reduce((sum, it) => sum + it.bytes, 0);
    const ends = { unfinished: 0, finished: 0 };
    for (let round = 0; round < kills; round++) {
      const name = `killed-${round}`;
      // Sometimes only when all is written: while it is synchronised and renamed.
      const limit = Math.min(1, 1.3 * random()) * size;
      await using creating = await RunningServer.startCommand(['backup', 'create', join(folder, name)], settings);
      await until('it has written enough', async () => (await bytesBelow(folder, name)) >= limit, 60_000);
      await creating.stop('SIGKILL');
      const backup = await readBackup(join(folder, name)).catch(() => undefined);
      if (backup !== undefined) await checkContent(backup, { stop: new AbortController().signal });
      else expect(await readdir(folder)).to.not.include(name);
      ends[backup === undefined ? 'unfinished' : 'finished']++;
    }
    expect(ends.unfinished, JSON.stringify(ends)).to.be.greaterThan(kills / 2);
    await removeUnfinished();
  });

  it('leave nothing when they are stopped', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const name = `stopped-${signal}`;
      await using creating = await RunningServer.startCommand(['backup', 'create', join(folder, name)], settings);
      await until('it writes', async () => (await bytesBelow(folder, name)) > 0, 60_000);
      expect(await creating.stop(signal), creating.log).to.deep.equal({ code: 130, signal: null });
      expect((await readdir(folder)).filter((it) => it.startsWith(name))).to.deep.equal([]);
    }
  });

  it('leave nothing when the database ends their connection', async () => {
    const name = 'cut';
    await using creating = await RunningServer.startCommand(['backup', 'create', join(folder, name)], settings);
    await until('it copies', async () => {
      const cut = await db.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and query like 'copy "messages"%'`,
        [db.name],
      );
      return cut.length > 0;
    });
    expect(await creating.ended, creating.log).to.deep.equal([1, null]);
    expect(creating.log).to.include('the database');
    expect((await readdir(folder)).filter((it) => it.startsWith(name))).to.deep.equal([]);
  });

  it('leave no scratch database when verify is stopped or killed', async () => {
    const scratches = () => db.query(`select from pg_database where datname like 'ruffinweb_verify_%'`);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await using verifying = await RunningServer.startCommand(['backup', 'verify', join(folder, 'loaded')], settings);
      await until('it restores', async () => {
        return (await db.query(`select from pg_stat_activity where datname like 'ruffinweb_verify_%'`)).length > 0;
      });
      await verifying.stop(signal);
      if (signal === 'SIGTERM') expect(await scratches()).to.deep.equal([]);
    }
    expect(await scratches()).to.have.lengthOf(1);
    await run(['verify', join(folder, 'loaded')]);
    expect(await scratches()).to.deep.equal([]);
  });

  it('are restored completely by a second run', async () => {
    const dir = join(folder, 'loaded');
    const { manifest } = await readBackup(dir);
    const rows = manifest.tables.find((it) => it.name === 'messages')?.rows ?? 0;
    let unfinishedRuns = 0;
    for (let round = 0; round < kills; round++) {
      await using other = await createDatabase({ empty: true });
      const more = { ...settings, DATABASE_URL: other.url, DATA_DIR: join(folder, `data-${round}`) };
      await using restoring = await RunningServer.startCommand(['backup', 'restore', dir, '--yes'], more);
      let ended = false;
      void restoring.ended.then(() => {
        ended = true;
      });
      // At a random statement; every fourth time as soon as the rows are committed.
      let left = Math.floor(40 * random());
      let last = '';
      const isFarEnough = async () => {
        if (round % 4 === 0) return (await other.count('messages').catch(() => 0)) > 0;
        const [session] = await db.query<{ said: string }>(
          `select string_agg(query || state || query_start, '' order by pid) as said
           from pg_stat_activity where datname = $1`,
          [other.name],
        );
        if (session?.said !== last) left--;
        last = session?.said ?? '';
        return left < 0;
      };
      await until('it has come far enough', async () => ended || (await isFarEnough()), 60_000);
      await restoring.stop('SIGKILL');
      const again = await ruffinweb(['backup', 'restore', dir, '--yes'], more);
      const isComplete = again.stderr.includes('already has senders');
      if (!isComplete) {
        unfinishedRuns++;
        expect(again.code, again.stderr).to.equal(0);
      }
      expect(await other.count('messages')).to.equal(rows);
      const [queue] = await other.query('select cause from mail_queue');
      expect(queue).to.deep.equal({ cause: 'restored' });
      expect(await other.query(`select from duties where name like 'restore %'`)).to.deep.equal([]);
      expect((await ruffinweb(['migrate', 'check'], more)).code).to.equal(0);
      // Placed after the commit of the rows.
      expect(await readFile(join(more.DATA_DIR, template), 'utf8')).to.equal('Ours: {{ receipt }}');
      if (round === 0) await openAll(other, rows);
    }
    expect(unfinishedRuns).to.be.greaterThan(kills / 2);
  });
});

/** Stores messages as intake does, each from its own sender. */
async function fill(db: TestDatabase, count: number): Promise<void> {
  await using context = await openTestContext(db);
  for (let done = 0; done < count; done += 1000) {
    const rows = Array.from({ length: 1000 }, (_, index) => {
      const [id, sender, address] = [newId(), newId(), `person-${done + index}@example.test`];
      const sealed = context.keyring.seal(address, { table: 'senders', column: 'address', row: sender });
      const content = sealContent(context.keyring, id, { address, text: `Message ${done + index}`, extra: [] });
      return {
        id,
        sender,
        sealed,
        content,
        receipt: `X-${done + index}`,
        index: context.keyring.addressIndex(address),
      };
    });
    const column = <Name extends keyof (typeof rows)[number]>(name: Name) => rows.map((it) => it[name]);
    await db.query(
      `with new_senders as (
         insert into senders (id, address_index, address, message_count, first_message_at, last_message_at)
         select id, index, address, 1, now(), now()
         from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as given (id, index, address) returning id)
       insert into messages (id, receipt, form_id, sender_id, status, content, received_at)
       select given.id, receipt, forms.id, sender, 'accepted', content, now()
       from unnest($4::uuid[], $5::text[], $1::uuid[], $6::bytea[]) as given (id, receipt, sender, content)
       join new_senders on new_senders.id = sender, forms`,
      [column('sender'), column('index'), column('sealed'), column('id'), column('receipt'), column('content')],
    );
  }
}

async function openAll(db: TestDatabase, count: number): Promise<void> {
  await using context = await openTestContext(db);
  const rows = await db.query<{ id: string; content: Buffer }>('select id, content from messages');
  for (const row of rows) openContent(context.keyring, row);
  expect(rows).to.have.lengthOf(count);
}

/** How much of a backup is written, in its unfinished folder or the finished one. */
async function bytesBelow(folder: string, name: string): Promise<number> {
  const own = (await readdir(folder)).find((it) => it === name || it.startsWith(`${name}.part-`));
  if (own === undefined) return 0;
  const tables = join(folder, own, 'tables');
  const sizes = await Promise.all(
    (await readdir(tables).catch(() => [])).map((it) =>
      stat(join(tables, it)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, it) => sum + it, 0);
}
