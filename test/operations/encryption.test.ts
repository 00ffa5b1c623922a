import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import pg from 'pg';
import { readKeys } from '../../src/config/values.ts';
import type { Context } from '../../src/context.ts';
import { makeKeys } from '../../src/privacy/key-file.ts';
import { placesOf, type SealedPlace, type SealedTable, sealedTableNames } from '../../src/privacy/sealed-columns.ts';
import { pauseQueue, readPause } from '../../src/services/delivery/pause/pause.ts';
import { queueReply } from '../../src/services/emails/queue-reply.ts';
import { rotateKeys } from '../../src/services/encryption/rotate-keys.ts';
import { newId } from '../../src/services/ids.ts';
import { openScope } from '../../src/services/scope.ts';
import { runHere, type SettingFiles, withoutColours } from '../cli/terminal.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { ruffinweb, type Settings, temporaryFolder, testKeys } from '../support/program.ts';
import { until } from '../support/until.ts';

const key = (id: string, byte: number) => `${id}:${Buffer.alloc(32, byte).toString('base64')}`;
const [k1, k2, k3] = [key('k1', 1), key('k2', 2), key('k3', 3)];

describe('encryption', () => {
  let db: TestDatabase;

  before(async () => {
    db = await createDatabase();
  });
  beforeEach(async () => {
    await db.empty();
    await db.query('truncate encryption_keys, retired_keys');
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });

  const run = (args: string, keys: string, columns?: number) =>
    runHere(args.split(' '), db, { settings: { ENCRYPTION_KEYS: keys }, ...(columns && { columns }) });
  const json = async (args: string, keys: string) => JSON.parse((await run(`${args} --json`, keys)).stdout);
  const statesOf = async (keys: string) => {
    const status = await json('encryption status', keys);
    return status.keys.map((it: { id: string; state: string; total: number }) => `${it.id} ${it.state} ${it.total}`);
  };
  const storedKeys = async () =>
    (await db.query<{ id: string }>('select id from encryption_keys order by id')).map((it) => it.id);
  const contextWith = (keys: string) => openTestContext(db, { ENCRYPTION_KEYS: keys });

  it('reads the key file like any edited text, and names its line', async () => {
    await using folder = await temporaryFolder();
    const settings = { ENCRYPTION_KEYS: '', DATA_DIR: folder.path };
    const file = join(folder.path, 'encryption.keys');
    await fillWith(k1);
    await writeFile(file, `\uFEFF${k1}\r\n`);
    expect(await runHere(['encryption', 'status'], db, { settings })).to.include({ code: 0, stderr: '' });
    for (const [bytes, wrong] of [
      ['k1:short\n', 'must be id:key pairs'],
      [Buffer.from(k1, 'utf16le'), 'contains a zero byte'],
    ] as const) {
      await writeFile(file, bytes);
      const { code, stdout, stderr } = await runHere(['encryption', 'status'], db, { settings });
      expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' });
      expect(stderr).to.include(`${file}, line 1: ${wrong}`);
    }
  });

  /** Three messages from two people with client addresses, two replies, mail delivered or failed, and a pause with a reason. */
  async function fill(context: Context, word = 'one'): Promise<void> {
    const messages = await buildMessages(context, 3, (index) => ({
      email: `${index % 2}-${word}@example.test`,
      message: `${word} ${index}`,
    }));
    const options = { copy: false, evenSo: false, again: false, dryRun: false };
    for (const { id } of messages.slice(1)) {
      await queueReply(openScope(context), id, { ...options, text: `reply to ${id}` });
    }
    await settleDue(context, (email) => (email.kind === 'notification' ? mailOutcomes.accepted : mailOutcomes.refused));
    await pauseQueue(openScope(context), 'hand', `reason ${word}`);
  }

  /** A hook with an attempt. */
  async function fillHook({ keyring }: Context): Promise<void> {
    const [hook, attempt] = [newId(), newId()];
    const seal = (column: 'url' | 'secret' | 'former_secret') =>
      keyring.seal(column, { table: 'hooks', column, row: hook });
    await db.query(
      `insert into hooks (id, name, kind, state, url, secret, former_secret, events, created_at)
       values ($1, 'n8n', 'webhook', 'active', $2, $3, $4, '{message.accepted}', now())`,
      [hook, seal('url'), seal('secret'), seal('former_secret')],
    );
    await db.query(
      `with delivery as (insert into hook_deliveries (id, hook_id, event, state, due_at, created_at)
         values (gen_random_uuid(), $1, 'message.accepted', 'queued', now(), now()) returning id)
       insert into hook_attempts (id, delivery_id, outcome, reply, finished_at) select $2, id, 'later', $3, now() from delivery`,
      [hook, attempt, keyring.seal('reply', { table: 'hook_attempts', column: 'reply', row: attempt })],
    );
  }

  const fillWith = async (keys: string, word?: string) => {
    await using context = await contextWith(keys);
    await fill(context, word);
  };

  /** All encrypted values, decrypted. */
  async function readAll(keys: string) {
    await using context = await contextWith(keys);
    const senders = await json('senders list', keys);
    const { items: messages } = await json('messages list', keys);
    const shown = [];
    for (const { id } of messages) shown.push(await json(`messages show ${id}`, keys));
    const { items: emails } = await json('emails list', keys);
    const tries = [];
    for (const { id } of emails) tries.push(await json(`emails show ${id}`, keys));
    const hooked = [];
    for (const table of ['hooks', 'hook_attempts'] as const) {
      for (const row of await db.query<{ id: string } & Record<string, Buffer>>(`select * from ${table}`)) {
        for (const it of placesOf(table, row.id)) hooked.push(context.keyring.open(row[it.column] as Buffer, it));
      }
    }
    return { senders, shown, tries, hooked, pause: await readPause(openScope(context).em, context.keyring) };
  }

  it('rotate replaces a public key in production, which else refuses', async () => {
    await fillWith(k1);
    const settings = {
      ...{ NODE_ENV: 'production', PUBLIC_URL: 'https://forms.example.test', SMTP_HOST: '127.0.0.1' },
      ...{ MAIL_FROM: 'forms@example.test', NOTIFY_TO: 'owner@example.test' },
    };
    const rotate = (keys: string) =>
      runHere(['encryption', 'rotate', '--yes'], db, { settings: { ...settings, ENCRYPTION_KEYS: keys } });
    for (const keys of [k1, `${k1},${testKeys.replace('k1', 'new')}`]) {
      const refused = await rotate(keys);
      expect(refused).to.include({ code: 2, stdout: '' });
      expect(refused.stderr).to.include('ENCRYPTION_KEYS must not start with a key that is published');
    }
    const fresh = testKeys.replace('k1', 'new');
    expect((await rotate(`${fresh},${k1}`)).code).to.equal(0);
    expect(await statesOf(fresh)).to.deep.equal(['new seals 15']);
  });

  it('rotate re-encrypts everything with the first key', async () => {
    await fillWith(k1);
    {
      await using context = await contextWith(k1);
      await fillHook(context);
    }
    const before = await readAll(k1);
    expect(before.hooked).to.deep.equal(['url', 'secret', 'former_secret', 'reply']);
    expect(before.shown[0].clientAddress).to.equal('203.0.113.0/24');
    expect(before.tries[0].attempts[0].reply).to.match(/^\d{3} /);
    expect(before.pause?.reason).to.equal('reason one');
    expect(before.shown[0].emails.at(-1).text).to.match(/^reply to/);
    const attempts = await db.count('attempts');
    const rows = { senders: 2, messages: 3, emails: 2, attempts, hooks: 1, hook_attempts: 1, mail_queue: 1 };
    const total = Object.values(rows).reduce((sum, it) => sum + it);

    const status = await json('encryption status', `${k2},${k1}`);
    expect(status.keys.map((it: object) => ({ ...it, newestRowAt: null, addedAt: null }))).to.deep.equal([
      { id: 'k2', state: 'seals', configured: true, rows: none, total: 0, newestRowAt: null, addedAt: null },
      { id: 'k1', state: 'opens', configured: true, rows, total, newestRowAt: null, addedAt: null },
    ]);
    expect(Date.now() - Date.parse(status.keys[1].newestRowAt)).to.be.lessThan(600_000);

    const rotated = await run('encryption rotate --yes', `${k2},${k1}`);
    expect(rotated.code).to.equal(0);
    expect(rotated.stdout).to.equal(`${total} rows encrypted again with k2\nunused  k1: no row needs it\n`);
    const { stderr: advice } = await run('encryption status', `${k2},${k1}`);
    for (const text of [rotated.stderr, advice]) {
      expect(text)
        .to.include('restart every server and worker with the new key first')
        .and.include('once more')
        .and.include('as long as you keep backups');
    }
    expect(await statesOf(`${k2},${k1}`)).to.deep.equal([`k2 seals ${total}`, 'k1 opens 0']);
    expect(await readAll(`${k2},${k1}`)).to.deep.equal(before);
    expect(await readAll(k2)).to.deep.equal(before);

    const again = await json('encryption rotate --yes', k2);
    expect(again).to.deep.equal({
      key: 'k2',
      resealed: 0,
      interrupted: false,
      unopened: { count: 0, first: [] },
      others: [],
    });
  });

  it('a start stores a row for the first key only', async () => {
    await run('senders list', `${k1},${k2}`);
    expect(await storedKeys()).to.deep.equal(['k1']);
    await run('senders list', `${k2},${k1}`);
    expect(await storedKeys()).to.deep.equal(['k1', 'k2']);
  });

  it('starts without a stored key unless a row needs it', async () => {
    await run('senders list', k1);
    await run('senders list', `${k2},${k1}`);
    expect(await run('senders list', k2)).to.include({ code: 0 });
    expect((await run('encryption status', k2)).code).to.equal(0);
    await fillWith(`${k1},${k2}`);
    const { code, stderr } = await run('senders list', k2);
    expect(code).to.equal(2);
    expect(stderr).to.match(/\d+ rows need key "k1", which ENCRYPTION_KEYS does not have: put it back/);
    expect((await run('encryption status', k2)).code).to.equal(4);
  });

  it('does not start if no key opens the index key', async () => {
    await run('senders list', k1);
    const { code, stderr } = await run('senders list', k2);
    expect(code).to.equal(2);
    expect(stderr).to.include('no key in ENCRYPTION_KEYS opens this database: put back key "k1"');
    expect(await statesOf(k2)).to.deep.equal(['k2 seals 0', 'k1 missing 0']);
  });

  it('people and repeats are found with any newer keys', async () => {
    await fillWith(k1);
    await run('encryption rotate --yes', `${k2},${k1}`);
    await run('encryption rotate --yes', `${k3},${k2}`);
    expect((await json('senders show --email 0-one@example.test', k3)).email).to.equal('0-one@example.test');
    expect(await storedKeys(), 'only the newest key wraps the index key').to.deep.equal(['k3']);
  });

  it('two rotations at once do the work once', async () => {
    await fillWith(k1);
    const before = await readAll(k1);
    const keys = `${k2},${k1}`;
    const both = await Promise.all([json('encryption rotate --yes', keys), json('encryption rotate --yes', keys)]);
    const rows = (await json('encryption status', keys)).keys[0].total;
    expect(both[0].resealed + both[1].resealed).to.equal(rows);
    expect(await readAll(k2)).to.deep.equal(before);
  });

  it('rows changed or deleted during a rotation stay so', async () => {
    await fillWith(k1);
    const other = new pg.Client({ connectionString: db.url });
    await other.connect();
    // The rotation can read, but has to wait before it writes.
    await other.query('begin; lock table messages in exclusive mode');
    const rotating = json('encryption rotate --yes', `${k2},${k1}`);
    await db.waitingForLocks(1);
    const { rows } = await other.query<{ id: string }>('select id from messages order by id');
    await other.query('update messages set client_address = null where id = $1', [rows[0]?.id]);
    await other.query('delete from messages where id = $1', [rows[1]?.id]);
    await other.query('commit');
    await other.end();
    expect((await rotating).others).to.deep.equal([{ id: 'k1', needed: false, reason: null }]);
    expect((await json('encryption status', k2)).keys[0].rows.messages).to.equal(2);
    expect((await json(`messages show ${rows[0]?.id}`, k2)).clientAddress).to.equal(null);
    expect((await json(`messages show ${rows[2]?.id}`, k2)).clientAddress).to.equal('203.0.113.0/24');
  });

  it('skips a locked row, and keeps its key', async () => {
    await fillWith(k1);
    const other = new pg.Client({ connectionString: db.url });
    await other.connect();
    await other.query('begin; select 1 from messages order by id limit 1 for update');
    const { stdout } = await run('encryption rotate --yes', `${k2},${k1}`);
    expect(stdout).to.include('keep    k1: 1 row needs it');
    await other.end();
    expect((await json('encryption rotate --yes', `${k2},${k1}`)).resealed).to.equal(1);
  });

  it('comes back to a row that was locked', async () => {
    await fillWith(k1);
    const other = new pg.Client({ connectionString: db.url });
    await other.connect();
    await other.query('begin; select 1 from messages order by id limit 1 for update');
    const rotating = json('encryption rotate --yes', `${k2},${k1}`);
    await until('only the locked row has the old key', async () => {
      const left = await db.query(
        `select 1 from messages where position('k1'::bytea in substring(content from 1 for 6)) > 0`,
      );
      return left.length === 1;
    });
    await other.end();
    expect((await rotating).others).to.deep.equal([{ id: 'k1', needed: false, reason: null }]);
  });

  it('names a value that cannot be decrypted, and keeps its key', async () => {
    await fillWith(k1);
    const [swapped] = await db.query<{ id: string }>(
      `update messages set content = (select content from messages order by id desc limit 1)
       where id = (select id from messages order by id limit 1) returning id`,
    );
    const { code, stdout, stderr } = await run('encryption rotate --yes', `${k2},${k1}`);
    expect(code).to.equal(1);
    expect(stdout).to.include('keep    k1: 1 row needs it');
    expect(stderr).to.include(
      `1 rows were left unchanged, since a value in them cannot be decrypted:\n  messages ${swapped?.id}`,
    );
    await db.query(`update messages set content = 'x' where id = $1`, [swapped?.id]);
    const status = await run('encryption status', `${k2},${k1}`);
    expect(status.code).to.equal(4);
    expect(status.stderr).to.include('1 rows have a value that is not encrypted text');
  });

  it('a moved encrypted value is unreadable', async () => {
    await using context = await contextWith(k1);
    await fill(context);
    const rowsOf = new Map<SealedTable, string[]>();
    for (const table of sealedTableNames) {
      const where = table === 'emails' ? 'where content is not null' : '';
      const found = await db.query<{ id: string }>(`select id::text from ${table} ${where} order by id`);
      rowsOf.set(
        table,
        found.map((it) => it.id),
      );
    }
    const inRow = (index: number) =>
      [...rowsOf].flatMap(([table, ids]) => (ids[index] === undefined ? [] : placesOf(table, ids[index])));
    const places = inRow(0);
    const readPlace = async ({ table, column, row }: SealedPlace): Promise<unknown> => {
      switch (table) {
        case 'senders':
          return (await json(`senders show ${row}`, k1))[column === 'address' ? 'email' : 'name'];
        case 'messages':
          return (await json(`messages show ${row}`, k1))[column === 'content' ? 'message' : 'clientAddress'];
        case 'emails': {
          const [of] = await db.query<{ id: string }>('select message_id as id from emails where id = $1', [row]);
          return (await json(`messages show ${of?.id}`, k1)).emails.at(-1).text;
        }
        case 'attempts': {
          const [of] = await db.query<{ id: string }>('select email_id as id from attempts where id = $1', [row]);
          return (await json(`emails show ${of?.id}`, k1)).attempts[0].reply;
        }
        case 'mail_queue':
          return (await readPause(openScope(context).em, context.keyring))?.reason;
      }
    };
    for (const [index, place] of places.entries()) {
      const where = JSON.stringify(place);
      const [own] = await db.query<{ value: Buffer }>(
        `select ${place.column} as value from ${place.table} where id::text = $1`,
        [place.row],
      );
      const write = async (value: Buffer | undefined) =>
        await db.query(`update ${place.table} set ${place.column} = $1 where id::text = $2`, [value, place.row]);
      expect(await readPlace(place), where).to.be.a('string');
      // test/unit/privacy.test.ts tests every pair of places; this test is about the readers.
      const others = [
        ...inRow(1).filter((it) => it.table === place.table && it.column === place.column),
        places[(index + 1) % places.length] as SealedPlace,
      ];
      for (const other of others) {
        const [foreign] = await db.query<{ value: Buffer }>(
          `select ${other.column} as value from ${other.table} where id::text = $1`,
          [other.row],
        );
        await write(foreign?.value);
        expect(await readPlace(place), `${JSON.stringify(other)} in ${where}`).to.equal(null);
      }
      await write(own?.value);
    }
  });

  it('works on after the operator deletes the row of a lost key', async () => {
    await fillWith(k1);
    await run('senders list', `${k2},${k1}`);
    expect((await run('senders list', k2)).code).to.equal(2);
    // As docs/operating/keys.md says.
    await db.query(`delete from encryption_keys where id = 'k1'`);
    expect((await json('senders list', k2)).items.map((it: { email: unknown }) => it.email)).to.deep.equal([
      null,
      null,
    ]);
    await fillWith(k2, 'two');
    const { items } = await json('messages list', k2);
    expect(items.filter((it: { email: string | null }) => it.email !== null)).to.have.lengthOf(3);
    expect((await run('encryption status', k2)).code).to.equal(4);
  });

  it('a server with the old key loses nothing during a rotation', async () => {
    await using old = await contextWith(`${k1},${k2}`);
    await fill(old);
    expect((await run('encryption rotate --yes', `${k2},${k1}`)).code).to.equal(0);
    expect(await storedKeys()).to.deep.equal(['k2']);
    await fill(old, 'two');
    const early = await run('encryption status', k2);
    expect(early.code, 'the old key was removed too early').to.equal(4);
    expect(early.stderr).to.include('Put back into ENCRYPTION_KEYS: k1');
    await old[Symbol.asyncDispose]();
    const again = await run('encryption rotate --yes', `${k2},${k1}`);
    expect(again).to.include({ code: 0 });
    expect(again.stdout).to.include('unused  k1');
    expect((await json('senders list', k2)).items.map((it: { email: string }) => it.email).toSorted()).to.deep.equal([
      '0-one@example.test',
      '0-two@example.test',
      '1-one@example.test',
      '1-two@example.test',
    ]);
  });

  it('two opposite rotations never delete the last row', async () => {
    await using context = await contextWith(`${k2},${k1}`);
    await fill(context);
    await run('senders list', `${k3},${k2}`);
    // The other rotation deletes it.
    await db.query(`delete from encryption_keys where id = 'k2'`);
    const { others } = await rotateKeys(openScope(context));
    expect(others.map((it) => it.id).toSorted()).to.deep.equal(['k1', 'k3']);
    expect(await storedKeys()).to.deep.equal(['k2']);
    expect((await json('senders show --email 0-one@example.test', k2)).email).to.equal('0-one@example.test');
  });

  it('waits for a key that is being added', async () => {
    await fillWith(k1);
    await run('senders list', `${k2},${k1}`);
    const lock = await db.lockKey(7_226_944n);
    const rotating = run('encryption rotate --yes', `${k2},${k1}`);
    await db.waitingForLocks(1);
    await db.query(`update senders set name = overlay(name placing 'k1'::bytea from 3)
      where id = (select id from senders order by id limit 1)`);
    await lock.release();
    expect((await rotating).stdout).to.include('keep    k1: 1 row needs it');
    expect(await storedKeys()).to.deep.equal(['k1', 'k2']);
  });

  it('understands what release 0.2.0 stores about keys', async () => {
    await fillWith(k1);
    await run('encryption rotate --yes', `${k2},${k1}`);
    // 0.2.0 stores each configured key at its start, and puts a key back that it still encrypts with.
    await using other = await openTestContext(db, { ENCRYPTION_KEYS: `${k1},${k2}` });
    await other[Symbol.asyncDispose]();
    expect(await storedKeys()).to.deep.equal(['k1', 'k2']);
    expect(await run('senders list', k2), 'no row needs it').to.include({ code: 0 });
    const again = await run('encryption rotate --yes', `${k2},${k1}`);
    expect(again, 'its row is younger, and yet k1 is not newer').to.include({ code: 0 });
    expect(await storedKeys()).to.deep.equal(['k2']);
    // 0.2.0 moves a key's row to retired_keys.
    await run('senders list', `${k3},${k2}`);
    await db.query(`with gone as (delete from encryption_keys where id = 'k2' returning id, canary)
      insert into retired_keys (id, canary) select id, canary from gone`);
    await run('encryption rotate --yes', `${k3},${k2}`);
    expect((await json('senders list', k3)).items).to.have.lengthOf(2);
  });

  it('rotate does not go back to an older key by mistake', async () => {
    await fillWith(k2);
    await fillWith(`${k3},${k2}`, 'two');
    const { code, stderr } = await run('encryption rotate', `${k2},${k3}`);
    expect(code).to.equal(2);
    expect(stderr).to.include('"k2" is first').and.to.include('"k3" was added later').and.include('rotate --help');
    expect((await run('encryption rotate --yes', `${k2},${k3}`)).code).to.equal(0);
  });

  it('rotate asks whether every process has the new key', async () => {
    await fillWith(k1);
    const settings = { ENCRYPTION_KEYS: `${k2},${k1}` };
    const ask = (surroundings: { columns?: number; types?: string }) =>
      runHere(['encryption', 'rotate'], db, { settings, ...surroundings });
    expect(await ask({})).to.include({ code: 2, stderr: 'not a terminal: pass --yes' });
    const no = await ask({ columns: 80, types: '\n' });
    expect(no).to.include({ code: 1, stdout: '' });
    expect(no.stderr).to.include('restarted with k2 as the first key? [y/N]').and.include('nothing was changed');
    expect((await statesOf(`${k2},${k1}`))[0]).to.equal('k2 seals 0');
    expect(await ask({ columns: 80, types: 'y\n' })).to.include({ code: 0 });
    expect((await statesOf(`${k2},${k1}`))[1]).to.equal('k1 opens 0');
    const again = await ask({ columns: 80, types: 'y\n' });
    expect(again.stderr).to.include('Done. Was every server and worker restarted').and.not.include('once more');
    const only = await runHere(['encryption', 'rotate'], db, { settings: { ENCRYPTION_KEYS: k2 } });
    expect(only).to.include({ code: 0, stderr: '\nFor a new key: ruffinweb encryption new-key\n' });
    const { stdout } = await run('encryption status', `${k2},${k1}`, 120);
    expect(withoutColours(stdout)).to.match(/^k2 +encrypts.*\nk1 +decrypts/m);
  });

  it('new-key makes a usable key, names its place and writes nothing', async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, 'encryption.keys');
    const here = { DATA_DIR: folder.path, ENCRYPTION_KEYS: '' };
    const ask = (args: string, settings: Settings, files: SettingFiles = {}) =>
      runHere(`encryption new-key ${args}`.trim().split(' '), { url: '' }, { settings, files });
    const first = await ask('', here);
    expect(first.stderr).to.include(`in ${file}.`).and.include('before the first start');
    const [firstId = ''] = first.stdout.split(':');
    await writeFile(file, first.stdout);
    for (const [settings, files, source, path, words] of [
      [here, {}, 'key-file', file, `in ${file}, beside ${firstId}.`],
      [{ ...here, NODE_ENV: 'production' }, {}, '.env', resolve('.env'), `in ENCRYPTION_KEYS in ${resolve('.env')}.`],
      [
        { ENCRYPTION_KEYS: `${k2},${k1}` },
        {},
        'environment',
        null,
        'in the environment of every program, beside k2, k1.',
      ],
      [
        { ENCRYPTION_KEYS: k1 },
        { file: '/srv/.env' },
        '.env',
        '/srv/.env',
        'in ENCRYPTION_KEYS in /srv/.env, beside k1.',
      ],
      [{ ENCRYPTION_KEYS: k1 }, { secrets: { ENCRYPTION_KEYS: '/etc/keys' } }, 'file', '/etc/keys', 'in /etc/keys, b'],
      [here, { secrets: { ENCRYPTION_KEYS: '/run/secrets/k' } }, 'file', '/run/secrets/k', 'change its original'],
    ] as const) {
      const { key, ...told } = JSON.parse((await ask('--json', settings, files)).stdout);
      expect(told, words).to.deep.equal({ source, file: path });
      expect(readKeys(key, '')).to.have.lengthOf(1);
      const { stdout, stderr } = await ask('', settings, files);
      expect(stdout).to.match(/^k\d{8}-\d{6}:\S{44}\n$/);
      expect(stderr).to.include(words);
    }
    expect(makeKeys(new Date('2026-11-22T07:33:05Z'))).to.match(/^k20261122-073305:/);
    expect(await readFile(file, 'utf8')).to.equal(first.stdout);
    expect(await readdir(folder.path)).to.deep.equal(['encryption.keys']);
  });

  it('status shows a missing and a wrong key, and exits 4', async () => {
    expect((await run('encryption status', k1)).code).to.equal(0);
    await fillWith(k1);
    const missing = await run('encryption status', k2, 120);
    expect(missing.code).to.equal(4);
    expect(withoutColours(missing.stdout)).to.match(/^k1 +MISSING +2 +3 +2 +\d+ +0 +1 +just now +just now/m);
    expect(withoutColours(missing.stderr)).to.include('Put back into ENCRYPTION_KEYS: k1');
    const wrong = await run('encryption status', key('k1', 9), 120);
    expect(wrong.code).to.equal(4);
    expect(withoutColours(wrong.stdout)).to.match(/^k1 +WRONG KEY/m);
    expect(await db.query('select id from encryption_keys'), 'looking writes nothing').to.deep.equal([{ id: 'k1' }]);
  });

  it('a wrong or missing key stops every program before it writes', async () => {
    await fillWith(k1);
    const state = async () => {
      const tables = await db.query<{ name: string }>(
        `select tablename as name from pg_tables where schemaname = 'public' order by 1`,
      );
      const rows = [];
      for (const { name } of tables) rows.push(name, await db.query(`select * from ${name} as it order by it::text`));
      return rows;
    };
    const before = await state();
    const [message] = await db.query<{ receipt: string }>('select receipt from messages limit 1');
    const commands = [
      'deliver --once',
      'emails pause --reason why',
      'emails resume',
      'emails resend --failed',
      `messages hold ${message?.receipt}`,
      'senders block --email 0-one@example.test',
      'encryption rotate',
    ];
    for (const keys of [key('k1', 9), k2, `${k2},${key('k1', 9)}`]) {
      for (const command of commands) {
        const { code, stderr } = await run(command, keys);
        expect(code, command).to.equal(2);
        expect(stderr, command).to.include('"k1"').and.to.include('ENCRYPTION_KEYS');
      }
    }
    expect(await state()).to.deep.equal(before);
    await run('messages list', `${k2},${k1}`);
    await run('migrate down --yes', k1);
    const older = await state();
    const served = await ruffinweb(['serve', '--migrate'], { DATABASE_URL: db.url, ENCRYPTION_KEYS: key('k1', 9) });
    expect(served.code).to.equal(2);
    expect(served.stdout).to.equal('');
    // A schema without the tables of hooks is counted too.
    const missing = await run('serve --migrate', k2);
    expect(missing.code).to.equal(2);
    expect(missing.stderr).to.match(/\d+ rows need key "k1", which ENCRYPTION_KEYS does not have/);
    expect(await state()).to.deep.equal(older);
    expect((await run('health', k1)).stdout).to.match(/sealed +the newest \d+ encrypted values can be decrypted/);
    await run('migrate up', k1);
  });
});

const none = { senders: 0, messages: 0, emails: 0, attempts: 0, hooks: 0, hook_attempts: 0, mail_queue: 0 };
