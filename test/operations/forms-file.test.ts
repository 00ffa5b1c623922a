import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import * as z from 'zod';
import { readConfig } from '../../src/config/read-config.ts';
import { readFormFile } from '../../src/services/forms/file/read-form-file.ts';
import { runHere } from '../cli/terminal.ts';
import { clientOf, submission } from '../support/api.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { readDocument } from '../support/documents.ts';
import * as past from '../support/past.ts';
import { type Settings, temporaryFolder } from '../support/program.ts';
import { startServerHere } from '../support/server-here.ts';
import { until } from '../support/until.ts';

const settings: Settings = { PUBLIC_URL: 'https://forms.example.test', NOTIFY_TO: 'owner@site.test' };

/** Every setting, with characters that YAML writes in a way of its own. */
const everything = `
  shop:
    name: "007: a \\"shop\\" # with \\u2028 odd\\u0085 \\u202e characters 😀"
    recipients: [Shop@site.test, 'office@site.test']
    routes:
      - { value: 'yes', to: [sales@site.test], field: 'a: b' }
    autoReply: false
    captcha: altcha
    origins: [https://site.test]
    redirectUrl: https://site.test/thanks?a=1&b=%20
    fields:
      - { type: choice, choices: ['no', '1', "~", ' null'], label: { en: Size, de: Größe }, name: size }
      - { name: email, required: true }
      - { max: 1e3, min: -0, name: '2', type: number }
    emailField: email
    requiredFields: [size]
    optionalFields: [message]
    language: auto
    words:
      autoReplyText: { en: "Hello\\n\\n  there \\n", de: "- Hallo\\r\\n" }
      thanksHeading: '{receipt} & more'
    closesAt: 2026-12-24T18:00
    messageLimit: 80
    closedText: "line one\\n\\n# line two\\n\\ttab"
    closed: true
    retentionDays: 0
    notifyLimit: 0
`;

describe('forms in a file', () => {
  let db: TestDatabase;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let path: string;

  before(async () => {
    db = await createDatabase();
    folder = await temporaryFolder();
    path = join(folder.path, 'forms.yaml');
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    await db.query(`delete from forms where slug <> 'contact'`);
    await db.query('update forms set captcha = null, notify_limit = null, retention_days = null');
  });

  const run = (...args: string[]) => runHere(['forms', ...args], db, { settings });
  const withFile = (text: string | Buffer, ...args: string[]) => {
    writeFileSync(path, text);
    return run(args[0] ?? '', path, ...args.slice(1));
  };
  const json = async (text: string, ...args: string[]) => {
    const { stdout, ...rest } = await withFile(text, ...args, '--json');
    return { ...rest, ...JSON.parse(stdout) };
  };
  const slugs = async () => (await db.query('select slug from forms order by slug')).map((it) => it.slug);

  it('are as before after an export and an apply', async () => {
    const added = await json(`forms: {contact: {captcha: none}, ${'"2024": {}'}}\n`, 'apply', '--yes');
    expect(added).to.include({ code: 0, stderr: '' });
    expect(await json(`forms:\n  contact:${everything}`, 'apply')).to.include({ code: 0 });
    expect(await json(`forms:\n  contact:${everything}`, 'diff')).to.deep.include({ changes: [], notInFile: ['2024'] });
    const { stdout } = await run('export');
    const [first = ''] = stdout.split('\n');
    const schema = /^# yaml-language-server: \$schema=(\S+)$/.exec(first)?.[1] ?? '';
    expect(JSON.parse(readFileSync(schema, 'utf8'))).to.include({ type: 'object' });
    expect(stdout).to.include('\n  "2024": {}\n\n  contact: {}\n\n  shop:\n    name: ').and.include('closed: true');
    expect(await json(stdout, 'diff')).to.include({ code: 0, differs: false });
    expect(await json(stdout, 'apply')).to.deep.include({ code: 0, changes: [] });
    expect((await run('export')).stdout).to.equal(stdout);
    await db.query(`delete from forms where slug <> 'contact'`);
    expect((await json(stdout, 'apply')).code).to.equal(0);
    expect((await run('export')).stdout).to.equal(stdout);
  });

  it('may be open or closed after their time', async () => {
    for (const [closed, text] of [
      [true, 'forms: {shop: {closesAt: 2020-01-01, closed: true}}'],
      [false, 'forms: {shop: {closesAt: 2020-01-01}}'],
    ] as const) {
      expect(await withFile(text, 'apply', '--yes')).to.include({ code: 0, stderr: '' });
      const { stdout } = await run('export');
      expect(stdout.includes('closed: true'), text).to.equal(closed);
      expect((await withFile(stdout, 'diff')).code, text).to.equal(0);
    }
  });

  it('ask before a time in the past closes a form', async () => {
    await run('add', 'shop');
    const closing = await withFile('forms: {shop: {closesAt: 2020-01-01}}', 'apply');
    expect(closing).to.include({ code: 2, stdout: '' });
    expect(closing.stderr).to.match(/"shop" will be closed.*pass --yes/s);
    expect((await withFile('forms: {shop: {closesAt: 2126-01-01}}', 'apply')).code).to.equal(0);
  });

  it('read a time without an offset in TIME_ZONE', async () => {
    for (const [time, zone, at] of [
      ['2026-07-24 18:00:30', 'Europe/Berlin', '2026-07-24T16:00:30.000Z'],
      ['2026-12-24T18:00-05:00', 'Europe/Berlin', '2026-12-24T23:00:00.000Z'],
    ]) {
      writeFileSync(path, `forms: {contact: {closesAt: ${time}}}`);
      const args = ['forms', 'diff', path, '--json'];
      const { code, stdout } = await runHere(args, db, { settings: { ...settings, TIME_ZONE: zone } });
      expect({ code, ...JSON.parse(stdout) }).to.deep.include({ code: 4, differs: true });
      expect(JSON.parse(stdout).changes[0].settings, time).to.deep.equal([
        { setting: 'closesAt', before: null, after: at },
      ]);
    }
  });

  const faulty: [text: string, ...faults: string[]][] = [
    ['', '1:1: must be a map, with the settings of each form'],
    ['- shop', '1:1: must be a map, with the settings of each form'],
    ['# nothing', '1:1: must be a map, with the settings of each form'],
    ['forms:', '1:1: forms: must be a map, with the settings of each form'],
    ['forms: [shop]', '1:1: forms: must be a map'],
    ['forms: {}\nversion: 1', '2:1: version: is unknown'],
    ['shop: {}', '1:1: forms: must be a map', '1:1: shop: is unknown'],
    ['forms: {}\nforms: {}', '2:1: "forms" is given twice'],
    ['forms:\n  shop: {}\n  shop: {}', '3:3: "shop" is given twice'],
    ['forms:\n  7: {}\n  "7": {}', '3:3: "7" is given twice'],
    ['forms:\n  ? [a]\n  : {}', '2:5: a key must be text'],
    ['forms:\n  __proto__: {}', '2:3: contains characters that cannot be stored'],
    ['forms:\n  Shop: {}', '2:3: Shop: cannot be a slug: use up to 64 lower'],
    ['forms:\n  -a: {}', '2:3: -a: cannot be a slug'],
    ['forms:\n  shop: altcha', '2:3: shop: must be a map of keys and values'],
    ['forms:\n  shop:\n    captha: none', '3:5: shop.captha: is unknown'],
    ['forms:\n  shop:\n    redirect: x', '3:5: shop.redirect: is unknown'],
    ['forms:\n  shop:\n    to: x', '3:5: shop.to: is unknown\n'],
    ['forms:\n  shop:\n    constructor: x', '3:5: shop.constructor: is unknown\n'],
    ['forms:\n  shop:\n    autoReply: yes', '3:5: shop.autoReply: must be true or false'],
    ['forms:\n  shop:\n    name: 2024', '3:5: shop.name: must be text, in quotes'],
    ['forms:\n  shop:\n    name:', '3:5: shop.name: is empty: give it a value, or leave it out'],
    ['forms:\n  shop:\n    recipients: a@b.test', '3:5: shop.recipients: must be a list'],
    ['forms:\n  shop:\n    recipients:\n      - a@b.test\n      - nobody', '5:9: shop.recipients.1: "nobody"'],
    [
      'forms:\n  shop:\n    fields: [{ name: a, type: choice, choices: [y] }]\n    routes: [{ field: a, value: x, to: [a@b.test] }]',
      '2:3: shop: routes: "x" is no choice of the field "a"',
    ],
    ['forms:\n  shop:\n    captcha: tuna', '3:5: shop.captcha: must be one of none, altcha'],
    ['forms:\n  shop:\n    captcha: turnstile', '3:5: shop.captcha: turnstile has no keys here'],
    ['forms:\n  shop:\n    redirectUrl: ftp://x', '3:5: shop.redirectUrl: "ftp://x" is not an http or https URL'],
    ['forms:\n  shop:\n    origins: [https://a.test, b]', '3:31: shop.origins.1: "b" is not an origin'],
    ['forms:\n  shop:\n    retentionDays: -1', '3:5: shop.retentionDays: is less than 0'],
    ['forms:\n  shop:\n    retentionDays: 1.5', '3:5: shop.retentionDays: must be a whole number'],
    ['forms:\n  shop:\n    messageLimit: 2000000', '3:5: shop.messageLimit: the limit on messages'],
    ['forms:\n  shop:\n    closesAt: 2026-02-30T10:00', '3:5: shop.closesAt: "2026-02-30T10:00" is not a time'],
    ['forms:\n  shop:\n    language: fr', '3:5: shop.language: must be one of en, de, auto'],
    ['forms:\n  shop:\n    fields: all', '3:5: shop.fields: must be any, or must be a list'],
    [
      'forms:\n  shop:\n    fields:\n      - nam: x',
      '4:9: shop.fields.0.name: is missing',
      '4:9: shop.fields.0.nam: is unk',
    ],
    [
      'forms:\n  shop:\n    fields:\n      - name: x\n        type: date',
      '5:9: shop.fields.0.type: must be one of text, email',
    ],
    ['forms:\n  shop:\n    fields: [{name: x, type: choice}]', '3:14: shop.fields.0.choices: is required'],
    ['forms:\n  shop:\n    words:\n      thanksText: {fr: x}', '4:20: shop.words.thanksText.fr: is unknown'],
    ['forms:\n  shop:\n    words:\n      thanks: x', '4:7: shop.words.thanks: is unknown'],
    ['forms:\n  shop:\n    routes: [{field: a, value: 5, to: [x]}]', '3:25: shop.routes.0.value: must be text, in'],
    ['forms:\n  shop:\n    routes: [{field: a, value: b, to: [x]}]', '3:14: shop.routes.0: "x"'],
    ['forms:\n  shop:\n    closedText: "\\0"', '3:17: contains characters that cannot be stored'],
    ['forms:\n  shop:\n    closedText: "\\uD800"', '3:17: contains characters that cannot be stored'],
    ['forms:\n  shop: {name: !x y, words: !!set {a}}', '2:19: tags such as !this', '2:35: tags such as !this'],
    ['forms:\n  a: &x {name: x}\n  b: *x\n  c: {<<: *x}', '3:6: aliases such as *this', '4:11: aliases such as *this'],
    ['forms:\n\tshop: {}', '2:1: Tabs are not allowed as indentation'],
    ['forms:\r\n  shop:\r\n    name: Shop: one\r\n', '3:11: put a text that contains ": " in quotes'],
    ['\uFEFFforms: {a: {name: 😀é, nam: x}}', '1:23: a.nam: is unknown'],
    [
      'forms: {a: {words: {thanksText: 5}}}',
      '1:21: a.words.thanksText: must be text, in quotes if it looks like a number, or must be texts by language',
    ],
    [
      'forms: {a: {fields: [{name: x, label: }]}}',
      '1:32: a.fields.0.label: is empty: give it a value, or leave it out',
    ],
    [`forms: ${'['.repeat(10_000)}${']'.repeat(10_000)}`, '1:', '1:'],
    [`forms:${'\n  f: {}'.repeat(51)}`, ...Array.from({ length: 50 }, (_, i) => `${i + 3}:3: "f" is given twice`)],
    [
      `forms:${'\n  F: {}'.repeat(60)}`,
      ...Array.from({ length: 50 }, (_, i) => `${i + 3}:3: "F" is given twice`),
      ' and 9 more faults',
    ],
    ['forms:\n  shop: [', '2:10: '],
    ['forms: {}\n---\nforms: {}', '2:1: a second document starts here'],
    [`forms: {} # ${'x'.repeat(300_000)}`, '1:1: is larger than 300 kB'],
    [
      'forms:\n  a: {captcha: x, name: 1}\n  B: {}\n  c:\n    language: fr',
      '2:7: a.captcha: must be',
      '2:19: a.name: must be text',
      '3:3: B: cannot be',
      '5:5: c.language: must be',
    ],
  ];
  for (const [text, ...faults] of faulty) {
    it(`are refused: ${JSON.stringify(text).slice(1, 55)}`, () => {
      let stderr = '';
      try {
        readFormFile({ config: readConfig({}) }, path, Buffer.from(text));
      } catch (error) {
        stderr = (error as Error).message;
      }
      for (const fault of faults) expect(`${stderr}\n`).to.include(`${path}:${fault}`);
      expect(stderr.split('\n'), stderr).to.have.lengthOf(faults.length);
    });
  }

  it('are refused by every command', async () => {
    const text = 'forms:\n  contact:\n    captcha: x\n    nam: y';
    for (const command of ['validate', 'diff', 'apply'])
      expect(await withFile(text, command), command).to.deep.equal({
        code: 2,
        stdout: '',
        stderr: `${path}:3:5: contact.captcha: must be one of none, altcha, turnstile, hcaptcha, recaptcha\n${path}:4:5: contact.nam: is unknown`,
      });
    expect((await withFile(Buffer.from([0x66, 0xff]), 'validate')).stderr).to.include('line 1: is not UTF-8');
    expect(await run('validate', join(folder.path, 'nothing'))).to.include({ code: 1, stdout: '' });
  });

  it('are checked without a database', async () => {
    writeFileSync(path, `forms:\n  contact:${everything}`);
    const away = { url: 'postgres://nobody@127.0.0.1:1/nothing' };
    const { code, stdout } = await runHere(['forms', 'validate', path, '--json'], away, { settings });
    expect({ code, ...JSON.parse(stdout) }).to.deep.equal({
      code: 0,
      valid: true,
      forms: ['contact', 'shop'],
    });
  });

  it('are named with each setting before and after', async () => {
    const text = 'forms:\n  contact:\n    captcha: altcha\n  shop:\n    name: Shop';
    const lines = 'change contact\n  captcha: – → altcha\nadd shop\n  name: – → Shop\n';
    expect(await withFile(text, 'diff')).to.deep.equal({ code: 4, stdout: lines, stderr: '' });
    expect(await withFile(text, 'apply', '--dry-run')).to.include({ code: 0, stdout: lines });
    expect(await slugs()).to.deep.equal(['contact']);
    expect(await withFile(text, 'apply')).to.include({ code: 0, stdout: lines });
    expect((await withFile(text, 'diff')).code).to.equal(0);
    expect((await withFile('forms: {}', 'diff')).stderr).to.include('Not in the file, and left alone: shop');
    expect((await withFile('forms: {}', 'apply')).code).to.equal(0);
    expect(await slugs()).to.deep.equal(['contact', 'shop']);
  });

  it('are named with what differs within their fields and words', async () => {
    const before = 'fields: [{name: a, max: 9}, {name: b}, {name: c}]\n    words: {thanksText: {en: Hello, de: Hallo}}';
    const after = 'fields: [{name: c}, {name: a, max: 8}, {name: d}]\n    words: {thanksText: {en: Hi, de: Hallo}}';
    const file = (settings: string) => `forms:\n  shop:\n    ${settings}`;
    const applied = await withFile(file(before), 'apply');
    expect(applied.stdout).to.include('  fields.b: – → {"name":"b","type":"text"}\n');
    expect(applied.stderr).to.include(': Its messages may have no address or no text: no server older than 0.3.0');
    expect((await withFile(file(after), 'diff')).stdout).to.equal(
      [
        'change shop',
        '  fields.a.max: 9 → 8',
        '  fields.d: – → {"name":"d","type":"text"}',
        '  fields.b: {"name":"b","type":"text"} → –',
        '  fields, in order: a, c → c, a',
        '  words.thanksText.en: Hello → Hi',
        '',
      ].join('\n'),
    );
    expect((await withFile(file('fields: any'), 'diff')).stdout).to.match(/^ {2}fields: \[.*\] → any$/m);
  });

  it('are deleted or closed by --prune, but not the default form', async () => {
    await using context = await openTestContext(db);
    await run('add', 'empty');
    await run('add', 'used');
    await buildMessages(context, 1);
    await db.query(`update messages set form_id = (select id from forms where slug = 'used')`);
    const unasked = await withFile('forms: {}', 'apply', '--prune');
    expect(unasked).to.include({ code: 2, stdout: '' });
    expect(unasked.stderr).to.match(/"empty" will be deleted.*"used" will be closed.*pass --yes/s);
    const no = await runHere(['forms', 'apply', path, '--prune'], db, { settings, columns: 80, types: 'n\n' });
    expect(no.stderr).to.include('Apply the file? [y/N]');
    expect(await slugs()).to.deep.equal(['contact', 'empty', 'used']);
    expect((await withFile('forms: {}', 'apply', '--prune', '--yes')).stdout).to.equal(
      'delete empty\nchange used\n  closed: false → true\n',
    );
    expect(await slugs()).to.deep.equal(['contact', 'used']);
    expect(await db.count('messages')).to.equal(1);
    expect(await json('forms: {}', 'apply', '--prune')).to.deep.include({ code: 0, changes: [] });
    expect((await withFile('forms: {used: }', 'apply')).stdout).to.equal('change used\n  closed: true → false\n');
    expect((await withFile('forms: {used: {closed: true}}', 'apply')).code).to.equal(2);
  });

  it('ask before a shorter retention deletes messages', async () => {
    await using context = await openTestContext(db);
    await buildMessages(context, 2);
    await past.aged(db, '40 days');
    await past.sent(db);
    const shorter = await withFile('forms: {contact: {retentionDays: 30}}', 'apply');
    expect(shorter).to.include({ code: 2, stdout: '' });
    expect(shorter.stderr).to.match(/2 messages of "contact" will be deleted within the hour.*pass --yes/s);
    expect((await withFile('forms: {contact: {retentionDays: 60}}', 'apply')).code).to.equal(0);
    expect((await withFile('forms: {contact: {retentionDays: 30}}', 'apply', '--yes')).code).to.equal(0);
  });

  it('are applied by one command at a time', async () => {
    const text = 'forms:\n  a: {}\n  b: {}\n  contact: {captcha: altcha}';
    writeFileSync(path, text);
    const runs = await Promise.all(Array.from({ length: 4 }, () => run('apply', path, '--json')));
    expect(runs.map((it) => it.code)).to.deep.equal([0, 0, 0, 0]);
    const counts = runs.map((it) => JSON.parse(it.stdout).changes.length).toSorted();
    expect(counts).to.deep.equal([0, 0, 0, 3]);
  });

  it('are all as before if the connection is lost in the middle', async () => {
    await run('add', 'b');
    await run('add', 'z');
    const row = await db.lockRows(`forms where slug = 'z'`);
    writeFileSync(path, 'forms:\n  a: {}\n  b: {name: B}\n  contact: {captcha: altcha}\n  z: {name: Z}');
    const applying = run('apply', path);
    await db.waitingForLocks(1);
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`,
      [db.name],
    );
    expect((await applying).code).to.not.equal(0);
    await row.release();
    expect(await db.query('select slug, name, captcha from forms order by slug')).to.deep.equal(
      ['b', 'contact', 'z'].map((slug) => ({ slug, name: null, captcha: null })),
    );
    expect((await run('apply', path)).code).to.equal(0);
  });

  it('change while posts come in: none is lost, and servers notice', async () => {
    await using server = await startServerHere({ DATABASE_URL: db.url, ...settings });
    await db.liftHourlyLimits();
    const http = clientOf(server.url);
    let isOver = false;
    const statuses: number[] = [];
    const posts = Array.from({ length: 4 }, async (_, visitor) => {
      for (let n = 0; !isOver; n++) {
        const body = submission({ email: `ada${visitor}-${n}@example.test`, message: `Hello ${visitor} ${n}` });
        statuses.push((await http.post('/api/messages', body)).status);
      }
    });
    for (let n = 1; n <= 3; n++) {
      const posted = statuses.length;
      await until('posts are answered', () => statuses.length > posted + 4);
      const text = `forms: {contact: {notifyLimit: 0, name: Name ${n}}, ${n % 2 ? 'other: {}' : ''}}`;
      expect((await withFile(text, 'apply', '--prune', '--yes')).code).to.equal(0);
    }
    isOver = true;
    await Promise.all(posts);
    expect(new Set(statuses)).to.deep.equal(new Set([201]));
    expect(await db.count('messages')).to.equal(statuses.length);
    await withFile('forms: {contact: {closed: true}}', 'apply', '--yes');
    expect((await http.post('/api/messages', submission({ message: 'Too late' }))).status).to.equal(410);
    await withFile('forms: {}', 'apply');
    expect((await http.post('/api/messages', submission({ message: 'Still closed' }))).status).to.equal(410);
    await withFile('forms: {contact: }', 'apply');
    expect((await http.post('/api/messages', submission({ message: 'Open' }))).status).to.equal(201);
  });

  it('are in the documents as the program takes them', async () => {
    const [, example = ''] = /```yaml\n(forms:.*?)```/s.exec(readDocument('docs/cli.md')) ?? [];
    expect(await withFile(example, 'validate')).to.include({ code: 0, stderr: '' });
    // An editor knows the schema alone.
    const written = readDocument('docs/reference/forms.schema.json');
    // Zod compiles patterns without the flag `u`, which validators set.
    const schema = z.fromJSONSchema(JSON.parse(written, (key, it) => (key === 'pattern' ? undefined : it)));
    for (const text of [example, `forms:\n  contact:${everything}`])
      expect(schema.parse(parse(text))).to.be.an('object');
    for (const wrong of [
      'shop: 1',
      'shop: {fields: [{name: a, type: date}]}',
      'shop: {captha: none}',
      'shop: {fields: [{name: a, typ: b}]}',
      'shop: {closed: yes}',
    ])
      expect(schema.safeParse(parse(`forms: {${wrong}}`)).success, wrong).to.equal(false);
  });
});
