import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import type { Imported } from '../../src/services/imports/import-report.ts';
import { runHere } from '../cli/terminal.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { type Settings, temporaryFolder } from '../support/program.ts';

interface Shown {
  email: string | null;
  name: string | null;
  subject: string | null;
  message: string;
  extra: Record<string, string>;
  receivedAt: string;
  status: string;
}

describe('import csv', () => {
  let db: TestDatabase;
  let context: Context;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let settings: Settings;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
    folder = await temporaryFolder();
    settings = { DATA_DIR: folder.path };
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    await db.query('truncate imported_rows, erasures');
  });

  const run = (input: string | Buffer, ...args: string[]) =>
    runHere(['import', 'csv', '-', ...args], db, { input, settings });
  const json = async (input: string | Buffer, ...args: string[]) => {
    const { code, stdout, stderr } = await run(input, '--json', ...args);
    expect(stdout, stderr).to.not.equal('');
    return { code, stderr, imported: JSON.parse(stdout) as Imported };
  };
  const counts = async (input: string | Buffer, ...args: string[]) => {
    const { found, taken, takenBefore, notTaken } = (await json(input, ...args)).imported.messages;
    return { found, taken, takenBefore, notTaken };
  };
  const stored = async () =>
    JSON.parse((await runHere(['messages', 'list', '--json', '--all'], db)).stdout).items.toReversed() as Shown[];
  const parts = async () =>
    (await stored()).map(({ email, name, subject, message, extra, receivedAt }) => ({
      ...{ email, name, subject, message, extra, receivedAt },
    }));
  const nothing = { email: null, name: null, subject: null, message: '', extra: {} };

  it('imports messages, senders and further fields without mail', async () => {
    const file = join(folder.path, 'old.csv');
    writeFileSync(
      file,
      [
        '\uFEFFDate,Email,Nachricht,Telefon,Name',
        '2021-03-01T10:00:00Z,Ada@example.test,"Hello,\r\n""there""",=+49 170,Ada',
        '2021-03-02 10:00:00,ada@EXAMPLE.test,Again,,',
        '2021-03-03 10:00:00,,No address,,Somebody',
        '2021-03-04 10:00:00,grace@example.test,,123,',
        '',
      ].join('\r\n'),
    );
    const args = ['--map', 'email=Email,message=Nachricht', '--map', 'receivedAt=Date', '--json'];
    const { code, stdout, stderr } = await runHere(['import', 'csv', file, ...args], db);
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).to.deep.equal({
      form: 'contact',
      dryRun: false,
      complete: true,
      messages: { found: 4, taken: 4, takenBefore: 0, erased: 0, notTaken: 0 },
      senders: { new: 2 },
      period: { first: '2021-03-01T10:00:00.000Z', last: '2021-03-04T10:00:00.000Z' },
      timeZone: { assumed: 'UTC', messages: 3 },
      retention: { days: 0, past: 0 },
      faults: {},
    });
    const [first, second, third, fourth] = await parts();
    expect(first).to.deep.equal({
      ...{ email: 'Ada@example.test', name: 'Ada', subject: null, message: 'Hello,\r\n"there"' },
      ...{ extra: { Telefon: '=+49 170' }, receivedAt: '2021-03-01T10:00:00.000Z' },
    });
    expect(second).to.include({ email: 'ada@example.test', message: 'Again', name: null });
    expect(third).to.deep.include({ ...nothing, name: 'Somebody', message: 'No address' });
    expect(fourth).to.deep.include({ ...nothing, email: 'grace@example.test', extra: { Telefon: '123' } });
    const senders = JSON.parse((await runHere(['senders', 'list', '--json'], db)).stdout).items;
    expect(
      senders.map((it: Record<string, unknown>) => [it.email, it.messages, it.firstMessageAt, it.lastMessageAt]),
    ).to.deep.equal([
      ['grace@example.test', 1, '2021-03-04T10:00:00.000Z', '2021-03-04T10:00:00.000Z'],
      ['Ada@example.test', 2, '2021-03-01T10:00:00.000Z', '2021-03-02T10:00:00.000Z'],
    ]);
    expect(await db.count('emails')).to.equal(0);
  });

  it('recognises the usual names of columns', async () => {
    for (const [header, ...kept] of [
      ['email,name,message,_date'],
      ['name,email,message,created_at,ip', 'ip'],
      ['Email,Name,Message,Submitted At'],
      ['E-Mail,NAME,Your message,createdAt,_status', '_status'],
      ['_replyto,Full name,comments,Timestamp'],
    ] as const) {
      await db.empty();
      await db.query('truncate imported_rows');
      const cells: Record<string, string> = { date: '2021-03-01T10:00:00Z', mail: 'ada@example.test' };
      const row = header.split(',').map((it) => {
        if (/mail|reply/i.test(it)) return cells.mail;
        if (/date|at$|stamp/i.test(it)) return cells.date;
        return /name/i.test(it) ? 'Ada' : 'Words';
      });
      expect((await run(`${header}\n${row.join(',')}\n`)).code, header).to.equal(0);
      expect(await parts(), header).to.deep.equal([
        {
          ...{ email: 'ada@example.test', name: 'Ada', subject: null, message: 'Words' },
          ...{ extra: Object.fromEntries(kept.map((it) => [it, 'Words'])), receivedAt: '2021-03-01T10:00:00.000Z' },
        },
      ]);
    }
  });

  it('maps, leaves out and tells apart columns', async () => {
    const text =
      'email,Your text, please,Work mail,ip,a,a,,date\nx@example.test,Hi,w@example.test,1.2.3.4,one,two,three,2021-03-01\n'.replace(
        'Your text, please',
        '"Your text, please"',
      );
    expect((await run(text, '--map', 'Message=Your text, please,e-mail=Work mail,ip=')).code).to.equal(0);
    const [{ email, message, extra } = nothing] = await parts();
    expect({ email, message, extra }).to.deep.equal({
      ...{ email: 'w@example.test', message: 'Hi' },
      extra: { 'email 1': 'x@example.test', a: 'one', 'a 6': 'two', 'column 7': 'three' },
    });
  });

  it('reads commas, semicolons, tabs, any line end, and quoted line breaks', async () => {
    const rows = [
      ['email', 'Text, or more', 'date'],
      ['ada@example.test', 'one\r\ntwo; three, "four"\tfive', '2021-03-01 10:00:00'],
      ['grace@example.test', 'six\nseven', '2021-03-02 10:00:00'],
    ];
    const write = (separator: string, end: string, quote = true) =>
      rows.map((row) => row.map((it) => (quote ? `"${it.replaceAll('"', '""')}"` : it)).join(separator)).join(end);
    const map = ['--map', 'message=Text, or more'];
    expect(await counts(write(',', '\r\n'), ...map)).to.include({ taken: 2 });
    expect((await stored()).map((it) => it.message)).to.deep.equal([rows[1]?.[1], rows[2]?.[1]]);
    for (const again of [
      write(';', '\n'),
      write('\t', '\r\n'),
      write(',', '\r'),
      `\uFEFF${write(';', '\r\n')}\r\n;;\r\n`,
    ]) {
      expect(await counts(again, ...map)).to.deep.equal({ found: 2, taken: 0, takenBefore: 2, notTaken: 0 });
    }
  });

  it('adds only new rows, in any order, and keeps equal rows apart', async () => {
    const header = 'email,message,date,Phone';
    const [a, b, c, d] = [
      'ada@example.test,Hello,2021-03-01 10:00:00,1',
      'ada@example.test,Hello,2021-03-01 10:00:00,2',
      'grace@example.test,Hello,2021-03-01 10:00:00,1',
      'grace@example.test,New,2021-03-05 10:00:00,1',
    ];
    const file = (...rows: (string | undefined)[]) => [header, ...rows].join('\n');
    expect(await counts(file(a, b, a, c))).to.include({ taken: 4 });
    expect(await counts(file(a, b, a, c))).to.include({ taken: 0, takenBefore: 4 });
    expect(await counts(file(c, a, a, b))).to.include({ taken: 0, takenBefore: 4 });
    expect(await counts(file(d, c, b, a))).to.include({ taken: 1, takenBefore: 3 });
    expect(await counts(file(a, a, a))).to.include({ taken: 1, takenBefore: 2 });
    const moved = 'date;Phone;message;email\n2021-03-01T10:00:00;1;Hello;ADA@example.test\n';
    expect(await counts(moved)).to.include({ taken: 0, takenBefore: 1 });
    expect(await counts(file(a), '--time-zone', 'Asia/Tokyo')).to.include({ taken: 0, takenBefore: 1 });
    expect(await db.count('messages')).to.equal(6);
    // The same row for another form is another message.
    await runHere(['forms', 'add', 'news'], db);
    expect(await counts(file(a), '--form', 'news')).to.include({ taken: 1 });
    expect(await counts(file(a), '--form', 'news')).to.include({ takenBefore: 1 });
    const text = 'E-Mail,Nachricht,Ort,Datum\n,Hi,Ulm,2024-05-01';
    const map = ['--map', 'message=Nachricht,receivedAt=Datum'];
    expect((await run(text, '--dry-run', ...map)).stderr).to.include(
      'email: E-Mail\nname: no column\nsubject: no column\nmessage: Nachricht\nreceivedAt: Datum\nfurther fields: Ort\n',
    );
  });

  it('reports each row it does not take by line, and exits 1', async () => {
    const wide = Array.from({ length: 31 }, (_, n) => `f${n}`);
    const rows: [cells: string, fault?: string][] = [
      ['2021-03-01,"Hello\r\nworld\n!",,'],
      [`2021-03-01,${'é'.repeat(10_001)},,`, 'a text is longer than a form accepts'],
      [`2021-03-01,${'😀'.repeat(10_000)},,`],
      [`2021-03-01,Hi,${'n'.repeat(201)},`, 'a text is longer than a form accepts'],
      [`2021-03-01,Hi,,${'p'.repeat(2001)}`, 'a text is longer than a form accepts'],
      ['2021-03-01,,,', 'its text is empty'],
      ['05/06/2021 8:33 AM,Hi,,', 'its date cannot be read: write it as 2026-11-22 08:33:05'],
      ['22.11.2021 08:33,Hi,,', 'its date cannot be read'],
      ['yesterday,Hi,,', 'its date cannot be read'],
      [',Hi,,', 'its date cannot be read'],
      ['2021-03-01,Hi,,,,ada at example', "its sender's address is not an e-mail address"],
      ['1969-12-31,Hi,,', 'its date is before 1970 or in the future'],
      ['2999-01-01,Hi,,', 'its date is before 1970 or in the future'],
      ['2021-03-01,Hi,,,,,more', 'it has more cells than the header'],
      ['2021-03-01,Short'],
    ];
    const { code, stderr, imported } = await json(
      `date,message,name,Phone,ip,email\r\n${rows.map(([it]) => it).join('\r\n')}\r\n`,
    );
    expect(code).to.equal(1);
    // The first row has three lines.
    const expected = rows.flatMap(([, fault], index) =>
      fault === undefined ? [] : [`line ${index === 0 ? 2 : index + 4} is not imported: ${fault}`],
    );
    const told = stderr.trim().split('\n');
    expect(told.map((it, index) => it.slice(0, expected[index]?.length))).to.deep.equal(expected);
    expect(imported.messages).to.deep.include({ found: rows.length, taken: 3, notTaken: rows.length - 3 });
    const many = await json(`date,${wide.join(',')}\n2021-03-01,${wide.map(() => 'x').join(',')}`);
    expect(many.imported.faults).to.deep.equal({ 'too-many': 1 });
    expect((await run(`date,message\nx,Hi`)).stderr).to.include('Correct these rows in the source and run this again.');
  });

  it('reads dates of several kinds in --time-zone', async () => {
    const dates = [
      ['2026-01-15T08:33:05Z', '08:33:05.000Z'],
      ['2026-01-15T08:33:05.123456+02:00', '06:33:05.123Z'],
      ['2026-01-15 08:33:05', '07:33:05.000Z'],
      ['2026-01-15 08:33:05 UTC', '08:33:05.000Z'],
      ['2026-01-15 08:33', '07:33:00.000Z'],
    ];
    const text = `n,date\n${dates.map(([date], n) => `${n},${date}`).join('\n')}`;
    const { imported } = await json(text, '--time-zone', 'Europe/Amsterdam');
    expect(imported).to.deep.include({ timeZone: { assumed: 'Europe/Amsterdam', messages: 2 } });
    const found = Object.fromEntries((await stored()).map((it) => [it.extra.n, it.receivedAt]));
    for (const [n, [date, time]] of dates.entries()) expect(found[n], date).to.equal(`2026-01-15T${time}`);
  });

  it('refuses files and columns it cannot read', async () => {
    const cases: [text: string | Buffer, args: string[], wrong: RegExp, code?: number][] = [
      // Without dates, a file is no list of messages.
      ...[
        '',
        '\n\n',
        'email,message\nada@example.test,Hello\n',
        '2021-03-01,ada@example.test,Hello\n',
        'sep=;\nemail;message;date\n',
        'Submissions of contact\nemail,message,date\n',
        'email|message|date\n',
        '<!doctype html>\n<p>Please log in\n',
      ].map((text): [string | Buffer, string[], RegExp] => [
        text,
        [],
        /^no column is receivedAt, the date: the first line has/,
      ]),
      ['Email,Text\n', ['--map', 'message=Nachricht'], /^there is no column "Nachricht", .*has "Email", "Text"/],
      ['Email,Text\n', ['--map', 'message=Text,subject=Text'], /^there is no column "Text", or it has two names/],
      ['date\nHi\n"never closed\nHi\n', [], /^stdin, line 3: a quote \("\) in the row that begins here/],
      [
        'date\r\n"a\r\nb"\r\nHi\r\nan "odd" one\r\nHi\r\n',
        [],
        /^stdin, line 5: a quote \("\) in the row that begins here/,
      ],
      ['date\n"odd"one\nHi\n', [], /^stdin, line 2: a quote \("\) in the row that begins here/],
      [`date\n"${'x'.repeat(1_100_000)}"\n`, [], /^stdin, line 2: a quote .* or the row is too long/],
      ['message\nHi\n', ['--time-zone', 'Mars'], /^there is no time zone "Mars"/],
      ['message\nHi\n', ['--form', 'none-such'], /no form "none-such"/, 1],
    ];
    for (const [text, args, wrong, code = 2] of cases) {
      const screen = await run(text, '--dry-run', ...args);
      expect(screen.stderr.replace(/^email: .*?\n\n/s, '')).to.match(wrong);
      expect(screen).to.include({ stdout: '', code });
    }
    for (const map of ['', 'message', '=x', 'a=1,a=2']) expect((await run('a\n', '--map', map)).code, map).to.equal(2);
    for (const path of [join(folder.path, 'none.csv'), folder.path]) {
      const { code, stderr } = await runHere(['import', 'csv', path], db);
      expect(code, path).to.equal(1);
      expect(stderr).to.include(`${path} cannot be used`);
    }
    expect(await db.count('messages')).to.equal(0);
  });

  it('refuses rows that are not UTF-8, and reads UTF-16 with its mark', async () => {
    const text = 'email,message,date\na@example.test,Hi,2021-03-01\na@example.test,Grüße,2021-03-01\n';
    const { code, stderr, imported } = await json(Buffer.from(text, 'latin1'));
    expect({ code, stderr }).to.deep.equal({
      code: 1,
      stderr: 'line 3 is not imported: it is not UTF-8: in Excel, save the file as "CSV UTF-8"\n',
    });
    expect(imported.messages).to.include({ taken: 1, notTaken: 1 });
    for (const bytes of [
      Buffer.from('date,message\n2021-03-01,Hü').subarray(0, -1),
      Buffer.from('date,name\n2021-03-01,Ä\n', 'latin1'),
    ]) {
      expect((await json(bytes)).imported.faults).to.deep.equal({ 'not-utf8': 1 });
    }
    expect(await counts(text)).to.include({ taken: 1, takenBefore: 1 });
    const excel = Buffer.from(`\uFEFF${text.replaceAll(',', '\t')}`, 'utf16le');
    expect(await counts(excel)).to.deep.equal({ found: 2, taken: 0, takenBefore: 2, notTaken: 0 });
  });

  it('shortens long headers, and keeps two with the same beginning apart', async () => {
    const long = 'How did you hear about us? Please tick everything that applies to you';
    await run(`"${long}, A","${long}, B\nor C",date\n1,2,2021-03-01\n`, '--map', `Found=${long}, A`);
    await run(`"${long}, A","${long}, B",date\n3,4,2021-03-02\n`);
    const names = (await stored()).map((it) => Object.entries(it.extra));
    expect(names).to.deep.equal([
      [
        ['Found', '1'],
        [`${long.slice(0, 60)} 2`, '2'],
      ],
      [
        [long.slice(0, 60), '3'],
        [`${long.slice(0, 60)} 2`, '4'],
      ],
    ]);
  });

  it('does not bring back erased persons or deleted messages', async () => {
    await runHere(['forms', 'add', 'shop', '--optional', 'email'], db);
    const fields = JSON.stringify([{ name: 'friend', type: 'email' }]);
    await db.query("update forms set fields = $1 where slug = 'shop'", [fields]);
    const text = [
      'email,message,date,friend',
      'ada@example.test,First,2021-03-01,',
      'grace@example.test,Second,2021-03-01,',
      ',About Ada,2021-03-01,ADA@example.test',
      ',About Grace,2021-03-01,grace@example.test',
      '',
    ].join('\n');
    await run('email,message,date\nada@example.test,Hello,2021-03-01\n');
    await runHere(['senders', 'erase', '--email', 'ada@example.test', '--yes'], db, { settings });
    expect((await run(text, '--dry-run', '--form', 'shop')).stdout).to.match(/^sender was erased +2$/m);
    const { stderr, imported } = await json(text, '--form', 'shop');
    expect(stderr).to.equal(
      'line 2 is not imported: its sender was erased here\nline 4 is not imported: its sender was erased here\n',
    );
    expect(imported.messages).to.deep.equal({ found: 4, taken: 2, takenBefore: 0, erased: 2, notTaken: 0 });
    const hash = context.keyring.addressIndex('grace@example.test').toString('hex');
    expect(await db.query('select other_addresses from messages order by id')).to.have.deep.members([
      { other_addresses: null },
      { other_addresses: [hash] },
    ]);
    await db.query('delete from messages');
    expect(await counts(text, '--form', 'shop')).to.include({ taken: 0, takenBefore: 2 });
  });

  it('changes nothing with --dry-run, and is refused beside another import', async () => {
    const text = 'message,date\nHi,2021-03-01\nHi,2021-03-01\n';
    const { imported, code } = await json(text, '--dry-run');
    expect(imported).to.deep.include({ dryRun: true, senders: { new: null } });
    expect([code, imported.messages.taken, await db.count('messages')]).to.deep.equal([0, 2, 0]);
    expect(await db.query('select from imported_rows')).to.deep.equal([]);
    const other = await db.lockKey(7_226_945n);
    try {
      expect(await run(text)).to.include({ code: 1, stdout: '' });
    } finally {
      await other.release();
    }
    expect(await counts(text)).to.include({ taken: 2 });
  });

  it('stops while it waits for stdin', async () => {
    const stop = AbortSignal.timeout(1);
    const { code, stdout } = await runHere(['import', 'csv', '-', '--json'], db, { stop });
    expect(code).to.equal(130);
    expect(JSON.parse(stdout)).to.deep.include({ complete: false });
  });
});
