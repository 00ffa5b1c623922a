import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import pg from 'pg';
import type { Context } from '../../src/context.ts';
import { placesOf, type SealedPlace, type SealedTable, sealedTableNames } from '../../src/privacy/sealed-columns.ts';
import { pauseQueue, readPause } from '../../src/services/delivery/pause.ts';
import { rotateKeys } from '../../src/services/encryption/rotate-keys.ts';
import { keepHouseOnce } from '../../src/services/maintenance/run-maintenance.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { ruffinweb, temporaryFolder } from '../support/program.ts';
import { until } from '../support/until.ts';
import { runHere, withoutColours } from './terminal.ts';

const key = (id: string, byte: number) => `${id}:${Buffer.alloc(32, byte).toString('base64')}`;
const [k1, k2, k3] = [key('k1', 1), key('k2', 2), key('k3', 3)];

describe('encryption', () => {
  let db: TestDatabase;

  before(async () => {
    db = await createDatabase();
  });
  beforeEach(async () => {
    await allGone();
    await db.empty();
    await db.query('truncate encryption_keys, retired_keys');
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });

  /** How many connections our programs have, as the database sees it. */
  const connections = async () =>
    (
      await db.query(`select from pg_stat_activity where datname = $1 and application_name like 'ruffinweb%'`, [
        db.name,
      ])
    ).length;
  const allGone = () => until('the database has noticed', async () => (await connections()) === 0);
  /** To its end as the database sees it, which is a moment later: until then the key that it seals with is in use. */
  async function toItsEnd<Result>(program: () => Promise<Result>): Promise<Result> {
    const before = await connections();
    const result = await program();
    await until('the database has noticed', async () => (await connections()) <= before);
    return result;
  }
  const run = (args: string, keys: string, columns?: number) =>
    toItsEnd(() => runHere(args.split(' '), db, { settings: { ENCRYPTION_KEYS: keys }, ...(columns && { columns }) }));
  const json = async (args: string, keys: string) => JSON.parse((await run(`${args} --json`, keys)).stdout);
  const statesOf = async (keys: string) => {
    const status = await json('encryption status', keys);
    return status.keys.map((it: { id: string; state: string; total: number }) => `${it.id} ${it.state} ${it.total}`);
  };
  const contextWith = (keys: string) => openTestContext(db, { ENCRYPTION_KEYS: keys });
  const end = async (context: Context) => {
    await context[Symbol.asyncDispose]();
    await allGone();
  };

  /** Three messages from two people, each with client address, three tries on record, and a pause with a reason. */
  async function fill(context: Context, word = 'one'): Promise<void> {
    await buildMessages(context, 3, (index) => ({
      email: `${index % 2}-${word}@example.test`,
      message: `${word} ${index}`,
    }));
    await settleDue(context, (email) => (email.kind === 'notification' ? mailOutcomes.accepted : mailOutcomes.refused));
    await pauseQueue(openScope(context), 'hand', `reason ${word}`);
  }

  /** By a program that ends then. */
  const fillWith = (keys: string, word?: string) =>
    toItsEnd(async () => {
      await using context = await contextWith(keys);
      await fill(context, word);
    });

  /** All that was sealed, opened. */
  const readAll = (keys: string) => toItsEnd(() => read(keys));
  async function read(keys: string) {
    await using context = await contextWith(keys);
    const senders = await json('senders list', keys);
    const { items: messages } = await json('messages list', keys);
    const shown = [];
    for (const { id } of messages) shown.push(await json(`messages show ${id}`, keys));
    const { items: emails } = await json('emails list', keys);
    const tries = [];
    for (const { id } of emails) tries.push(await json(`emails show ${id}`, keys));
    return { senders, shown, tries, pause: await readPause(openScope(context).em, context.keyring) };
  }

  it('rotate seals everything with the first key; all of it reads as before, also without the old key', async () => {
    await fillWith(k1);
    const before = await readAll(k1);
    expect(before.shown[0].clientAddress).to.equal('203.0.113.0/24');
    expect(before.tries[0].attempts[0].reply).to.match(/^\d{3} /);
    expect(before.pause?.reason).to.equal('reason one');
    const rows = { senders: 2, messages: 3, attempts: await db.count('attempts'), mail_queue: 1 };
    const total = Object.values(rows).reduce((sum, it) => sum + it);

    const status = await json('encryption status', `${k2},${k1}`);
    expect(status.keys.map((it: object) => ({ ...it, newestRowAt: null, addedAt: null }))).to.deep.equal([
      {
        id: 'k2',
        state: 'seals',
        configured: true,
        rows: none,
        total: 0,
        newestRowAt: null,
        addedAt: null,
        retiredAt: null,
      },
      { id: 'k1', state: 'opens', configured: true, rows, total, newestRowAt: null, addedAt: null, retiredAt: null },
    ]);
    expect(Date.now() - Date.parse(status.keys[1].newestRowAt)).to.be.lessThan(600_000);

    const rotated = await run('encryption rotate', `${k2},${k1}`);
    expect(rotated.code).to.equal(0);
    expect(rotated.stdout).to.equal(
      `${total} rows sealed anew with k2\nunused  k1: take it out of ENCRYPTION_KEYS; backups of before still need it\n`,
    );
    expect(await statesOf(`${k2},${k1}`)).to.deep.equal([`k2 seals ${total}`, 'k1 retired 0']);
    expect(await readAll(`${k2},${k1}`)).to.deep.equal(before);
    expect(await readAll(k2)).to.deep.equal(before);

    const again = await json('encryption rotate', k2);
    expect(again).to.deep.equal({
      key: 'k2',
      resealed: 0,
      interrupted: false,
      unopened: { count: 0, first: [] },
      others: [],
    });
  });

  it('people are found by their address, and repeats are known, whatever keys came since', async () => {
    await fillWith(k1);
    await run('encryption rotate', `${k2},${k1}`);
    await run('encryption rotate', `${k3},${k2}`);
    expect((await json('senders show --email 0-one@example.test', k3)).email).to.equal('0-one@example.test');
    const wraps = await db.query('select id from encryption_keys');
    expect(wraps, 'the index key is wrapped by the newest key alone').to.deep.equal([{ id: 'k3' }]);
  });

  it('two at once do no harm, and do the work once', async () => {
    await fillWith(k1);
    const before = await readAll(k1);
    const keys = `${k2},${k1}`;
    const both = await Promise.all([json('encryption rotate', keys), json('encryption rotate', keys)]);
    const rows = (await json('encryption status', keys)).keys[0].total;
    expect(both[0].resealed + both[1].resealed).to.equal(rows);
    expect(await readAll(k2)).to.deep.equal(before);
  });

  it('what is changed or deleted while it is sealed anew stays changed or deleted', async () => {
    await fillWith(k1);
    const other = new pg.Client({ connectionString: db.url });
    await other.connect();
    // It may read, and has to wait with what it wants to write.
    await other.query('begin; lock table messages in exclusive mode');
    const rotating = json('encryption rotate', `${k2},${k1}`);
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

  it('a row that somebody has locked is waited for by nobody, and keeps its key in use', async () => {
    await fillWith(k1);
    const other = new pg.Client({ connectionString: db.url });
    await other.connect();
    await other.query('begin; select 1 from messages order by id limit 1 for update');
    const { stdout } = await run('encryption rotate', `${k2},${k1}`);
    expect(stdout).to.include('keep    k1: 1 row needs it');
    await other.end();
    expect((await json('encryption rotate', `${k2},${k1}`)).resealed).to.equal(1);
  });

  it('a value that does not open stays as it is, is named, and keeps its key in use', async () => {
    await fillWith(k1);
    const [swapped] = await db.query<{ id: string }>(
      `update messages set content = (select content from messages order by id desc limit 1)
       where id = (select id from messages order by id limit 1) returning id`,
    );
    const { code, stdout, stderr } = await run('encryption rotate', `${k2},${k1}`);
    expect(code).to.equal(1);
    expect(stdout).to.include('keep    k1: 1 row needs it');
    expect(stderr).to.include(
      `1 rows were left as they are, since a value in them does not open:\n  messages ${swapped?.id}`,
    );
    await db.query(`update messages set content = 'x' where id = $1`, [swapped?.id]);
    const status = await run('encryption status', `${k2},${k1}`);
    expect(status.code).to.equal(4);
    expect(status.stderr).to.include('1 rows hold a value that is not a sealed one');
  });

  it('a sealed value that was moved to another row, column or table reads as nothing there', async () => {
    await using context = await contextWith(k1);
    await fill(context);
    const rowsOf = new Map<SealedTable, string[]>();
    for (const table of sealedTableNames) {
      const found = await db.query<{ id: string }>(`select id::text from ${table} order by id`);
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
      // Every pair of places has a test of its own, of the keyring; here it is about what the readers ask of it.
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

  it('after a key was lost for good the rest goes on, once the operator has said so', async () => {
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

  it('a key that a running program seals with is kept, and named with what to do', async () => {
    await using old = await contextWith(`${k1},${k2}`);
    await fill(old);
    const { code, stdout } = await run('encryption rotate', `${k2},${k1}`);
    expect(code).to.equal(1);
    expect(stdout).to.include('keep    k1: a running program seals with it');
    // Nothing is in danger meanwhile: it may go on sealing, and a start without the key is refused.
    await fill(old, 'two');
    expect((await run('senders list', k2)).code).to.equal(2);
    await end(old);
    expect((await run('encryption rotate', `${k2},${k1}`)).code).to.equal(0);
    expect((await json('senders list', k2)).items).to.have.lengthOf(4);
  });

  it('a program that was away when its key was retired takes it into use again', async () => {
    await using old = await contextWith(`${k1},${k2}`);
    await fill(old);
    // As after a while without a connection: the pool is empty.
    const [pids] = await db.query<{ ended: number }>(
      `select count(pg_terminate_backend(pid, 10000))::int as ended from pg_stat_activity
       where datname = current_database() and application_name like '%seals with k1'`,
    );
    expect(pids?.ended).to.be.greaterThan(0);
    expect((await run('encryption rotate', `${k2},${k1}`)).code).to.equal(0);
    expect((await run('senders list', k2)).code).to.equal(0);
    await keepHouseOnce(old);
    const refused = await run('senders list', k2);
    expect(refused).to.include({ code: 2 });
    expect(refused.stderr).to.include('"k1", which ENCRYPTION_KEYS does not have');
    await end(old);
    // It is no newer for having come back: the operator is not told to seal with it.
    expect(await statesOf(`${k2},${k1}`)).to.satisfy((it: string[]) => it[1]?.startsWith('k1 opens'));
    const again = await run('encryption rotate', `${k2},${k1}`);
    expect(again, again.stderr).to.include({ code: 0 });
    const mistaken = await run('encryption rotate', `${k1},${k2}`);
    expect(mistaken.code).to.equal(2);
    expect(mistaken.stderr).to.include('"k1" stands first').and.to.include('"k2" was added later');
  });

  it('two rotations towards different keys leave the key of the keyed hashes', async () => {
    await using context = await contextWith(`${k2},${k1}`);
    await fill(context);
    // The other one, while this one was without a connection.
    await db.query(`with gone as (delete from encryption_keys where id = 'k2' returning id, canary)
      insert into retired_keys (id, canary) select id, canary from gone`);
    const { others } = await rotateKeys(openScope(context));
    expect(others).to.deep.equal([{ id: 'k1', needed: false, reason: null }]);
    expect(await db.query('select id from encryption_keys')).to.deep.equal([{ id: 'k2' }]);
    expect((await json('senders show --email 0-one@example.test', k2)).email).to.equal('0-one@example.test');
  });

  it('a server that only stores, with its keys in a file, says what it seals with; an older one is not trusted', async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, 'encryption.keys'), `${k1}\n`);
    await using old = await openTestContext(db, { DATA_DIR: folder.path, ENCRYPTION_KEYS: undefined });
    await fill(old);
    expect((await run('encryption rotate', `${k2},${k1}`)).stdout).to.include('k1: a running program seals with it');
    await end(old);
    const older = new pg.Client({ connectionString: db.url, application_name: 'ruffinweb' });
    await older.connect();
    expect((await run('encryption rotate', `${k2},${k1}`)).stdout).to.include(
      'k1: a program is connected that does not',
    );
    await older.end();
    expect((await run('encryption rotate', `${k2},${k1}`)).code).to.equal(0);
  });

  it('a program under which the database was replaced by another one writes no key into that', async () => {
    await using old = await contextWith(k1);
    await fill(old);
    await db.query('truncate encryption_keys');
    await run('senders list', k2);
    await keepHouseOnce(old);
    expect(await db.query('select id from encryption_keys')).to.deep.equal([{ id: 'k2' }]);
  });

  it('rotate does not go back to an older key by mistake', async () => {
    await fillWith(k1);
    await run('encryption rotate', `${k2},${k1}`);
    await run('senders list', `${k2},${k3}`);
    const { code, stderr } = await run('encryption rotate', `${k2},${k3}`);
    expect(code).to.equal(2);
    expect(stderr).to.include('"k2" stands first').and.to.include('"k3" was added later');
    expect((await run('encryption rotate --yes', `${k2},${k3}`)).code).to.equal(0);
  });

  it('status tells of a missing and of a wrong key, and exits 4', async () => {
    expect((await run('encryption status', k1)).code).to.equal(0);
    await fillWith(k1);
    const missing = await run('encryption status', k2, 120);
    expect(missing.code).to.equal(4);
    expect(withoutColours(missing.stdout)).to.match(/^k1 +MISSING +2 +3 +\d+ +1 +just now +just now/m);
    expect(withoutColours(missing.stderr)).to.include('Put back into ENCRYPTION_KEYS: k1');
    const wrong = await run('encryption status', key('k1', 9), 120);
    expect(wrong.code).to.equal(4);
    expect(withoutColours(wrong.stdout)).to.match(/^k1 +WRONG KEY/m);
    expect(await db.query('select id from encryption_keys'), 'looking writes nothing').to.deep.equal([{ id: 'k1' }]);
  });

  it('a wrong or missing key stops every program that opens or seals, and nothing is written', async () => {
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
    await run('migrate down', k1);
    const older = await state();
    const served = await ruffinweb(['serve', '--migrate'], { DATABASE_URL: db.url, ENCRYPTION_KEYS: key('k1', 9) });
    expect(served.code).to.equal(2);
    expect(served.stdout).to.equal('');
    expect(await state()).to.deep.equal(older);
    await run('migrate up', k1);
  });
});

const none = { senders: 0, messages: 0, attempts: 0, mail_queue: 0 };
