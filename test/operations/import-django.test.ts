import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import type { Imported } from '../../src/services/imports/import-report.ts';
import { runHere } from '../cli/terminal.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import {
  createDjangoPostgresql,
  createDjangoSqlite,
  fillPostgresql,
  fillSqlite,
  type OldMessage,
  type OldSender,
} from '../support/django.ts';
import { ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';

const ada: OldSender = [1, 'Ada@example.test', 'Ada'];
const adaAgain: OldSender = [2, 'ada@EXAMPLE.test', 'A. Lovelace'];
const grace: OldSender = [3, 'grace@example.test', 'Grace'];
const messages: readonly OldMessage[] = [
  [1, 'First', '2021-03-01 10:00:00.123456+00', 1],
  [2, 'Second', '2021-03-01 12:00:00.123456+01', 3],
  [3, 'Third', '2021-03-01 10:00:00.123456+00', 1],
  [4, 'Fourth', '2020-12-24 18:00:00+00', 2],
];

describe('import django', () => {
  let db: TestDatabase;
  let old: TestDatabase;
  let context: Context;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let files = 0;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
    old = await createDjangoPostgresql();
    folder = await temporaryFolder();
    settings = { DATA_DIR: folder.path };
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await old[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    await db.query('truncate imported_rows, erasures');
    await old.query('truncate backend_sender, backend_message');
  });

  const run = (where: string, ...args: string[]) => runHere(['import', 'django', where, ...args], db);
  let settings: Settings;
  const json = async (where: string, ...args: string[]) => {
    const { code, stdout, stderr } = await run(where, '--json', ...args);
    return { code, stderr, imported: JSON.parse(stdout) as Imported };
  };
  const counts = (imported: Imported) => ({ ...imported.messages, new: imported.senders.new });
  const stored = async () =>
    JSON.parse((await runHere(['messages', 'list', '--json'], db)).stdout).items.toReversed() as {
      id: string;
      email: string;
      name: string | null;
      message: string;
      receivedAt: string;
      status: string;
    }[];
  const texts = async () => (await stored()).map((it) => it.message);
  const senders = async () => JSON.parse((await runHere(['senders', 'list', '--json'], db)).stdout).items;
  const newFile = () => join(folder.path, `${++files}.sqlite3`);

  it('imports messages and senders from PostgreSQL without mail', async () => {
    await fillPostgresql(old, { senders: [ada, adaAgain, grace], messages });
    const { code, stderr, imported } = await json(old.url);
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    expect(imported).to.deep.equal({
      form: 'contact',
      dryRun: false,
      complete: true,
      messages: { found: 4, taken: 4, takenBefore: 0, erased: 0, notTaken: 0 },
      senders: { new: 2 },
      period: { first: '2020-12-24T18:00:00.000Z', last: '2021-03-01T11:00:00.123Z' },
      timeZone: { assumed: 'UTC', messages: 0 },
      retention: { days: 0, past: 0 },
      faults: {},
    });
    const list = await stored();
    expect(list.map(({ message, receivedAt, email, name }) => [message, receivedAt, email, name])).to.deep.equal([
      ['Fourth', '2020-12-24T18:00:00.000Z', 'ada@example.test', 'A. Lovelace'],
      ['First', '2021-03-01T10:00:00.123Z', 'Ada@example.test', 'Ada'],
      ['Third', '2021-03-01T10:00:00.123Z', 'Ada@example.test', 'Ada'],
      ['Second', '2021-03-01T11:00:00.123Z', 'grace@example.test', 'Grace'],
    ]);
    for (const { id, receivedAt, status } of list) {
      expect(parseInt(id.replace('-', '').slice(0, 12), 16)).to.equal(Date.parse(receivedAt));
      expect(status).to.equal('accepted');
    }
    expect(
      (await senders()).map(({ email, name, messages, firstMessageAt, lastMessageAt }: Record<string, unknown>) => ({
        ...{ email, name, messages, firstMessageAt, lastMessageAt },
      })),
    ).to.deep.equal([
      {
        email: 'grace@example.test',
        name: 'Grace',
        messages: 1,
        firstMessageAt: '2021-03-01T11:00:00.123Z',
        lastMessageAt: '2021-03-01T11:00:00.123Z',
      },
      {
        email: 'Ada@example.test',
        name: 'Ada',
        messages: 3,
        firstMessageAt: '2020-12-24T18:00:00.000Z',
        lastMessageAt: '2021-03-01T10:00:00.123Z',
      },
    ]);
    expect(await db.count('emails')).to.equal(0);
    const receipts = await db.query<{ receipt: string }>('select distinct receipt from messages');
    expect(receipts.filter(({ receipt }) => /^RW-[0-9A-HJKMNP-TV-Z]{10}$/.test(receipt))).to.have.lengthOf(4);
  });

  it('imports only new messages when run again', async () => {
    await fillPostgresql(old, { senders: [ada, grace], messages: messages.slice(0, 2) });
    await run(old.url);
    expect(counts((await json(old.url)).imported)).to.deep.equal({
      ...{ found: 2, taken: 0, takenBefore: 2, erased: 0, notTaken: 0 },
      new: 0,
    });
    await fillPostgresql(old, { senders: [adaAgain], messages: messages.slice(2) });
    expect(counts((await json(old.url)).imported)).to.include({ taken: 2, takenBefore: 2, new: 0 });
    expect(await texts()).to.deep.equal(['Fourth', 'First', 'Third', 'Second']);
    expect((await senders()).map((it: { messages: number }) => it.messages)).to.deep.equal([1, 3]);
  });

  it('imports from an SQLite file without changing it', async () => {
    const path = newFile();
    createDjangoSqlite(path, {
      senders: [ada],
      messages: [
        [1, 'In winter', '2024-01-15 12:00:00.123456', 1],
        [2, 'In summer', '2024-07-15', 1],
        [3, 'In UTC', '2024-07-16T12:00:00Z', 1],
      ],
    });
    const before = { file: readFileSync(path).toString('hex'), folder: readdirSync(folder.path) };
    const { code, stdout, stderr } = await ruffinweb(
      ['import', 'django', `sqlite://${path}`, '--time-zone', 'Europe/Amsterdam'],
      { DATABASE_URL: db.url },
    );
    expect({ code, stderr: stderr.trim() }).to.deep.equal({
      code: 0,
      stderr: 'Dates without a time zone: 2, read as Europe/Amsterdam; --time-zone sets another.',
    });
    expect(stdout).to.match(/^imported +3$/m);
    expect(stdout, 'as other screens have it').to.match(/^written +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ to \d{4}-[^T]*Z$/m);
    expect({ file: readFileSync(path).toString('hex'), folder: readdirSync(folder.path) }).to.deep.equal(before);
    expect((await stored()).map((it) => it.receivedAt)).to.deep.equal([
      '2024-01-15T11:00:00.123Z',
      '2024-07-14T22:00:00.000Z',
      '2024-07-16T12:00:00.000Z',
    ]);
    // In another zone they have other times, but they are the same messages.
    expect(counts((await json(path, '--time-zone', 'Asia/Tokyo')).imported)).to.include({ taken: 0, takenBefore: 3 });
  });

  it('reads dates without a zone in --time-zone, summer and winter', async () => {
    const readIn = async (zone: string, dates: readonly string[]) => {
      await db.empty();
      await db.query('truncate imported_rows');
      const path = newFile();
      createDjangoSqlite(path, { senders: [ada], messages: dates.map((it, n): OldMessage => [n, `Text ${n}`, it, 1]) });
      const { imported } = await json(path, '--time-zone', zone);
      expect(imported.messages).to.include({ taken: dates.length });
      return (await stored()).map((it) => it.receivedAt);
    };
    expect(
      await readIn('europe/amsterdam', [
        '1999-12-31 23:59:59.999999',
        '2024-01-15 12:00:00',
        // The clocks went from 2 to 3 on this day.
        '2024-03-31 01:59:59',
        '2024-03-31 03:00:00',
        '2024-07-15 12:00:00.5',
        '2024-07-15 12:00:00+00',
      ]),
    ).to.deep.equal([
      '1999-12-31T22:59:59.999Z',
      '2024-01-15T11:00:00.000Z',
      '2024-03-31T00:59:59.000Z',
      '2024-03-31T01:00:00.000Z',
      '2024-07-15T10:00:00.500Z',
      '2024-07-15T12:00:00.000Z',
    ]);
    expect(await readIn('America/New_York', ['2024-01-15', '2024-07-15'])).to.deep.equal([
      '2024-01-15T05:00:00.000Z',
      '2024-07-15T04:00:00.000Z',
    ]);
    expect(await readIn('Asia/Kolkata', ['2024-01-15 05:30'])).to.deep.equal(['2024-01-15T00:00:00.000Z']);
    expect(await readIn('UTC', ['1970-01-01', '2024-02-29 12:00:00.123456'])).to.deep.equal([
      '1970-01-01T00:00:00.000Z',
      '2024-02-29T12:00:00.123Z',
    ]);
  });

  it('recognises messages in a moved file or another database', async () => {
    const path = newFile();
    createDjangoSqlite(path, { senders: [ada], messages: [[1, 'Hello', '2021-03-01 10:00:00.123456', 1]] });
    await run(path);
    await fillPostgresql(old, { senders: [ada], messages: [[1, 'Hello', '2021-03-01 10:00:00.123456+00', 1]] });
    expect(counts((await json(old.url)).imported)).to.include({ taken: 0, takenBefore: 1 });
    // The same words under another id are another message.
    await fillPostgresql(old, { messages: [[2, 'Hello', '2021-03-01 10:00:00.123456+00', 1]] });
    expect(counts((await json(old.url)).imported)).to.include({ taken: 1, takenBefore: 1 });
  });

  it('keeps the name of a person who also wrote here', async () => {
    await buildMessages(context, 1, () => ({ email: 'ada@example.test', name: 'Ada King' }));
    const [before] = await senders();
    await fillPostgresql(old, { senders: [ada], messages: [messages[0] as OldMessage] });
    expect(counts((await json(old.url)).imported)).to.include({ taken: 1, new: 0 });
    expect(await senders()).to.deep.equal([{ ...before, messages: 2, firstMessageAt: '2021-03-01T10:00:00.123Z' }]);
  });

  it('reports each invalid row, imports the rest, and exits 1', async () => {
    const path = newFile();
    createDjangoSqlite(path, {
      senders: [ada, [2, 'not an address', 'Secret'], [3, 'ADA@example.test', 'Ada'], [4, 'silent@example.test', 'S']],
    });
    fillSqlite(path, {
      messages: [
        [1, 'Hello', '2021-03-01 10:00:00', 2],
        [2, ' \n', '2021-03-01 10:00:00', 1],
        [3, 'Hello', '2021-03-01 10:00:00', 99],
        [4, 'Hello', 'yesterday', 1],
        [5, 'Hello', '1969-12-31 23:00:00', 1],
        [6, 'Hello', '2999-01-01', 2],
        [7, 'Taken', '2021-03-01 10:00:00', 1],
      ],
    });
    const { code, stderr, imported } = await json(path);
    expect(stderr.trim().split('\n')).to.deep.equal([
      "message 1 is not imported: its sender's address is not an e-mail address",
      'message 2 is not imported: its text is empty',
      'message 3 is not imported: its sender is not in backend_sender',
      'message 4 is not imported: its date cannot be read: write it as 2026-11-22 08:33:05',
      'message 5 is not imported: its date is before 1970 or in the future',
      "message 6 is not imported: its sender's address is not an e-mail address; its date is before 1970 or in the future",
    ]);
    expect(code).to.equal(1);
    expect(imported.messages).to.deep.equal({ found: 7, taken: 1, takenBefore: 0, erased: 0, notTaken: 6 });
    expect(imported.senders).to.deep.equal({ new: 1 });
    expect(imported.faults).to.deep.equal({
      'address-invalid': 2,
      'text-empty': 1,
      'sender-missing': 1,
      'date-unreadable': 1,
      'date-impossible': 2,
    });
    expect(await texts()).to.deep.equal(['Taken']);
    // Once corrected in the source, it is imported by the next run.
    new DatabaseSync(path).exec(`update backend_message set date = '2021-02-01' where id = 4`);
    expect(counts((await json(path)).imported)).to.include({ taken: 1, takenBefore: 1, notTaken: 5 });
  });

  it('keeps texts and names that a post may not have', async () => {
    const path = newFile();
    const [text, name] = [`${'long '.repeat(10_000)}\u0000 😀 \u001b[2J`, `Two\nlines ${'x'.repeat(300)}`];
    createDjangoSqlite(path, { senders: [[1, ' ada@example.test ', name]], messages: [[1, text, '2021-03-01', 1]] });
    expect((await run(path)).code).to.equal(0);
    const [message] = await stored();
    expect(message).to.include({ message: text, name, email: 'ada@example.test' });
  });

  it('with --dry-run changes nothing', async () => {
    await fillPostgresql(old, { senders: [ada, adaAgain, grace], messages });
    const { code, imported } = await json(old.url, '--dry-run');
    expect(code).to.equal(0);
    expect(imported).to.deep.include({ dryRun: true, senders: { new: null } });
    expect(imported.messages).to.deep.equal({ found: 4, taken: 4, takenBefore: 0, erased: 0, notTaken: 0 });
    expect(await db.query('select * from imported_rows')).to.deep.equal([]);
    expect([await db.count('messages'), await db.count('senders')]).to.deep.equal([0, 0]);
    await run(old.url);
    expect((await json(old.url, '--dry-run')).imported.messages).to.include({ taken: 0, takenBefore: 4 });
    expect((await run(old.url, '--dry-run')).stderr).to.include('Nothing was changed.');
  });

  it('does not bring back a message that was deleted here', async () => {
    await fillPostgresql(old, { senders: [ada, grace], messages: messages.slice(0, 2) });
    await run(old.url);
    const [first] = await stored();
    await runHere(['messages', 'delete', first?.id ?? '', '--yes'], db);
    expect(counts((await json(old.url)).imported)).to.include({ taken: 0, takenBefore: 2 });
    expect(await texts()).to.deep.equal(['Second']);
  });

  it('imports only later messages of an erased person', async () => {
    await fillPostgresql(old, { senders: [ada, grace], messages: messages.slice(0, 2) });
    await run(old.url);
    await runHere(['senders', 'erase', '--email', 'ada@example.test', '--yes'], db, { settings });
    // An import that ended half-way had not reached Third before the erasure.
    await fillPostgresql(old, {
      messages: [messages[2] as OldMessage, [9, 'Later', new Date(Date.now() + 3_600_000).toISOString(), 1]],
    });
    expect((await run(old.url, '--dry-run')).stdout).to.match(/^sender was erased +1$/m);
    const { code, stderr, imported } = await json(old.url);
    expect({ code, stderr }).to.deep.equal({
      code: 0,
      stderr: 'message 3 is not imported: its sender was erased here\n',
    });
    expect(imported.messages).to.deep.equal({ found: 4, taken: 1, takenBefore: 2, erased: 1, notTaken: 0 });
    expect(await texts()).to.deep.equal(['Second', 'Later']);
    expect((await senders()).map((it: { messages: number }) => it.messages)).to.deep.equal([1, 1]);
  });

  it('skips a sender who is erased while the page is stored', async () => {
    await fillPostgresql(old, { senders: [ada, grace], messages: messages.slice(0, 2) });
    const addressIndex = context.keyring.addressIndex('ada@example.test');
    const erasing = await db.lockKey(addressIndex.readBigInt64BE(0));
    const importing = json(old.url);
    await db.waitingForLocks(1);
    await db.query('insert into erasures (address_index, erased_at) values ($1, now())', [addressIndex]);
    await erasing.release();
    const { stderr, imported } = await importing;
    expect(stderr).to.equal('message 1 is not imported: its sender was erased here\n');
    expect(imported.messages).to.include({ taken: 1, erased: 1, takenBefore: 0 });
    expect(await texts()).to.deep.equal(['Second']);
  });

  it('is not counted by the spam guard', async () => {
    const text = 'A long text that five people have sent, as it stood in an example on the website';
    const now = new Date().toISOString();
    await fillPostgresql(old, {
      senders: [1, 2, 3, 4, 5].map((n): OldSender => [n, `p${n}@example.test`, '']),
      messages: [1, 2, 3, 4, 5].map((n): OldMessage => [n, text, now, n]),
    });
    await run(old.url);
    await buildMessages(context, 1, () => ({ email: 'p1@example.test', message: text }));
    expect(await db.query('select status, count(*)::int from messages group by 1')).to.deep.equal([
      { status: 'accepted', count: 6 },
    ]);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
  });

  it('imports into the given form, open or closed', async () => {
    await fillPostgresql(old, { senders: [ada], messages: [messages[0] as OldMessage] });
    expect(await run(old.url, '--form', 'none-such')).to.include({ code: 1, stdout: '' });
    await runHere(['forms', 'add', 'archive'], db);
    await runHere(['forms', 'close', 'archive'], db);
    expect((await json(old.url, '--form', 'archive')).imported.messages.taken).to.equal(1);
    const [row] = await db.query('select slug from messages join forms on forms.id = form_id');
    expect(row).to.deep.equal({ slug: 'archive' });
  });

  it('counts messages older than the retention', async () => {
    await fillPostgresql(old, {
      senders: [ada],
      messages: [messages[0] as OldMessage, [2, 'New', new Date().toISOString(), 1]],
    });
    const { stdout, stderr } = await runHere(['import', 'django', old.url, '--dry-run', '--json'], db, {
      settings: { RETENTION_DAYS: '365' },
    });
    expect({ ...JSON.parse(stdout).retention, stderr }).to.deep.equal({ days: 365, past: 1, stderr: '' });
  });

  it('is refused while another import runs', async () => {
    await fillPostgresql(old, { senders: [ada], messages: [messages[0] as OldMessage] });
    const other = await db.lockKey(7_226_945n);
    try {
      const { code, stdout, stderr } = await run(old.url);
      expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' });
      expect(stderr).to.include('another import into this database is running');
      expect((await run(old.url, '--dry-run')).code).to.equal(0);
    } finally {
      await other.release();
    }
    expect((await run(old.url)).code).to.equal(0);
  });

  it('stores nothing of a visitor unencrypted', async () => {
    await fillPostgresql(old, { senders: [grace], messages: [[1, 'Words of hers', '2021-03-01', 3]] });
    await run(old.url);
    for (const table of ['messages', 'senders', 'imported_rows']) {
      const [row] = await db.query<{ all: string }>(`select string_agg(t::text, '') as all from ${table} t`);
      const bytes = (row?.all ?? '').replaceAll(/\\\\x([0-9a-f]+)/g, (_, hex) =>
        Buffer.from(hex, 'hex').toString('latin1'),
      );
      expect(bytes).to.not.match(/grace|words of hers/i);
    }
  });

  describe('says what is wrong with the old database', () => {
    const refused = async (where: string, code = 1) => {
      const screen = await run(where);
      expect(screen, where).to.include({ code, stdout: '' });
      return screen.stderr;
    };

    it('in PostgreSQL', async () => {
      const url = (changes: Partial<Record<'username' | 'password' | 'port' | 'pathname' | 'search', string>>) =>
        Object.assign(new URL(old.url), changes).href;
      expect(await refused(url({ port: '1' }))).to.match(/^the old database cannot be read \(.*ECONNREFUSED.*its URL/);
      expect(await refused(url({ pathname: '/none_such' }))).to.include('does not exist: check its name in the URL');
      expect(await refused(url({ pathname: '/' }), 2)).to.include('the name of the database is missing');
      expect(await refused(url({ search: '?sslmode=prefer' }), 2)).to.include('sslmode=prefer is not supported');
      expect(await refused(url({ search: '?sslmode=require' }))).to.match(/has no TLS .*sslmode=disable if/);
      expect(await refused(db.url)).to.include('"backend_message" does not exist');
      await using renamed = await createDjangoPostgresql();
      await renamed.query('alter table backend_message rename date to sent');
      expect(await refused(renamed.url)).to.match(/not the Django backend's .*date/);
      await renamed.query(`create role ${renamed.name} login password 'secret-word'`);
      try {
        const login = { username: renamed.name, pathname: `/${renamed.name}` };
        expect(await refused(url({ ...login, password: 'secret-word' }))).to.include('grant select on backend_sender');
        const wrong = await refused(url({ ...login, password: 'wrong-word' }));
        expect(wrong).to.include('rejects the login').and.not.include('wrong-word');
        expect(await refused(url({ ...login, password: '' }))).to.include('set PGPASSWORD');
        // Nothing else is needed.
        await renamed.query('alter table backend_message rename sent to date');
        await renamed.query(`grant select on backend_sender, backend_message to ${renamed.name}`);
        expect((await run(url({ ...login, password: 'secret-word' }))).code).to.equal(0);
      } finally {
        await renamed.query(`drop owned by ${renamed.name}`);
        await renamed.query(`drop role ${renamed.name}`);
      }
    });

    it('in SQLite', async () => {
      expect(await refused(join(folder.path, 'none-such')))
        .to.include('does not exist')
        .and.include('none-such');
      expect(await refused('sqlite:///none/such.sqlite3')).to.include('none/such.sqlite3 or /none/such.sqlite3');
      expect(await refused(folder.path)).to.include('is not a file');
      const [text, empty, cut] = [newFile(), newFile(), newFile()];
      writeFileSync(text, 'a text that is no database, and longer than the header of one would be'.repeat(10));
      expect(await refused(text)).to.include('is not an SQLite file');
      writeFileSync(empty, '');
      expect(await refused(empty)).to.include('no such table: backend_message');
      createDjangoSqlite(cut, {
        senders: [ada],
        messages: Array.from({ length: 300 }, (_, n): OldMessage => [n, 'x'.repeat(100), '2021-03-01', 1]),
      });
      truncateSync(cut, 12_288);
      expect(await refused(cut)).to.match(/is (damaged|not)/);
    });

    it('and what cannot be read at all', async () => {
      expect(await refused('mysql://user:secret-word@db.invalid/site', 2))
        .to.include('mysql:// cannot be read')
        .and.not.match(/secret-word|unencrypted/);
      for (const login of ['user:secret-word@db.invalid/site', 'user@db.invalid/site?password=secret-word']) {
        expect(await refused(`postgresql://${login}`), login)
          .to.match(/db\.invalid|"password"|is not supported|cannot be read/)
          .and.not.include('secret-word');
      }
      await fillPostgresql(old, { senders: [ada], messages: [messages[0] as OldMessage] });
      const { code, stderr } = await run(old.url, '--time-zone', 'Europe/Nowhere');
      expect(code).to.equal(2);
      expect(stderr).to.include('there is no time zone "Europe/Nowhere"');
      // PostgreSQL would read these as POSIX zones, two hours to the west.
      for (const zone of ['UTC+2', '+02:00', '']) {
        expect(await run(old.url, '--time-zone', zone), zone).to.include({ code: 2, stdout: '' });
      }
    });
  });
});
