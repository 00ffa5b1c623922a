import { expect } from 'chai';
import { showMessage } from '../../src/services/messages/messages.ts';
import { openScope } from '../../src/services/scope.ts';
import { browserAccept, type Client, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi, type ServerHere } from '../support/server-here.ts';
import { until } from '../support/until.ts';
import { dial, exchange, rawPost } from '../support/wire.ts';

const boundary = 'b0undary-of-the-test';

/** A multipart body from its parts, unescaped. */
function multipart(parts: readonly (string | Buffer)[], end = `--${boundary}--\r\n`): RequestInit {
  const body = Buffer.concat([
    ...parts.flatMap((part) => [Buffer.from(`--${boundary}\r\n`), Buffer.from(part), Buffer.from('\r\n')]),
    Buffer.from(end),
  ]);
  return { method: 'POST', headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` }, body };
}

const part = (name: string, value: string) => `Content-Disposition: form-data; name="${name}"\r\n\r\n${value}`;
const required = [part('email', 'ada@example.test'), part('message', 'Hello')];

const partIn = (label: string, name: string, value: Buffer) =>
  Buffer.concat([
    Buffer.from(
      `Content-Type: text/plain; charset="${label}"\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`,
    ),
    value,
  ]);

/** Bytes and their text for every encoding of the Encoding standard, and for labels of another spelling. */
const charsetTexts: [label: string, hex: string, text: string][] = [
  ['ibm866', 'e4', 'ф'],
  ['iso-8859-2', 'b1', 'ą'],
  ['iso-8859-3', 'b1', 'ħ'],
  ['iso-8859-4', 'b1', 'ą'],
  ['iso-8859-5', 'e4', 'ф'],
  ['iso-8859-6', 'e4', 'ل'],
  ['iso-8859-7', 'e4', 'δ'],
  ['iso-8859-8', 'e4', 'ה'],
  ['iso-8859-8-i', 'e4', 'ה'],
  ['iso-8859-10', 'a1', 'Ą'],
  ['iso-8859-13', 'a1', '”'],
  ['iso-8859-14', 'a1', 'Ḃ'],
  ['iso-8859-15', 'a4', '€'],
  ['iso-8859-16', 'a4', '€'],
  ['koi8-r', 'e4', 'Д'],
  ['koi8-u', 'a4', 'є'],
  ['macintosh', '80', 'Ä'],
  ['windows-874', 'e4', 'ไ'],
  ['windows-1250', '8c', 'Ś'],
  ['windows-1251', 'cff0e8', 'При'],
  ['windows-1252', '80', '€'],
  ['windows-1253', 'e4', 'δ'],
  ['windows-1254', 'f0', 'ğ'],
  ['windows-1255', 'e4', 'ה'],
  ['windows-1256', 'e4', 'ن'],
  ['windows-1257', 'e0', 'ą'],
  ['windows-1258', 'd5', 'Ơ'],
  ['x-mac-cyrillic', '80', 'А'],
  ['utf-8', 'c3a9', 'é'],
  ['gbk', 'c4e3', '你'],
  ['gb18030', '81308130', '\x80'],
  ['big5', 'a741', '你'],
  ['euc-jp', 'c6fc', '日'],
  ['iso-2022-jp', '1b2442467c1b2842', '日'],
  ['shift_jis', '93fa', '日'],
  ['euc-kr', 'c7d1', '한'],
  ['windows-949', '8c6394eea2e6', '똠뷁€'],
  ['big5-hkscs', 'c7553b8740fa40', 'の;䏰𠕇'],
  ['utf-16be', '60a8', '您'],
  ['utf-16le', 'a860', '您'],
  ['utf-16', 'feff60a8', '您'],
  ['x-user-defined', '80', '\uf780'],
  ['ISO-8859-1', '80', '€'],
  ['US-ASCII', '41', 'A'],
  ['Windows-1251', 'e4', 'д'],
  ['GB2312', 'c4e3', '你'],
  ['ks_c_5601-1987', 'c7d1', '한'],
  ['l9', 'a4', '€'],
  ['unicode-1-1-utf-8', 'e282ac', '€'],
];

describe('body of a post', () => {
  let api: Api;
  let db: TestDatabase;
  let server: ServerHere;
  let http: Client;

  before(async () => {
    api = await openApi();
    ({ db, server, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  /** Posts to the route that returns the text, so that the parsed values can be checked. */
  const echo = async (init: RequestInit) => await http.send('/api/message/', init);

  it('as multipart from FormData is stored with every character unchanged', async () => {
    const message = 'Grüße, 你好 🙂\r\n--not-the-boundary\r\n\u0000 \ufffd "quoted" %22';
    const form = new FormData();
    for (const [name, value] of Object.entries(submission({ message, 'größe "L"': '%' })))
      form.set(name, String(value));

    const answer = await echo({ method: 'POST', body: form });

    expect(answer.status).to.equal(201);
    expect(answer.json).to.include({ message, message_sender: 'ada@example.test' });
    await using context = await openTestContext(db);
    const stored = await showMessage(openScope(context), 'latest');
    expect(stored).to.deep.include({ message, extra: { 'größe "L"': '%' } });
  });

  it('as urlencoded keeps a typed U+FFFD and a percent sign that escapes nothing', async () => {
    for (const message of ['%EF%BF%BD', '\ufffd', '%ef%bf%bd+100%+%zz', 'Gr%C3%BC\u00dfe+\ufffd']) {
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      const answer = await echo({ method: 'POST', headers, body: `email=ada@example.test&message=${message}` });
      expect(answer.status, message).to.equal(201);
      expect(answer.json.message).to.equal(new URLSearchParams(`m=${message}`).get('m'));
    }
  });

  it('as multipart is read in the charset each part declares', async () => {
    const email =
      'Content-Disposition: form-data; name=email\r\nContent-Type: text/plain; charset=utf-8\r\n' +
      'Content-Transfer-Encoding: 8bit\r\n\r\nada@example.test';
    await using context = await openTestContext(db);
    for (const texts of [charsetTexts.slice(0, 25), charsetTexts.slice(25)]) {
      const parts = texts.map(([label, hex]) => partIn(label, `x-${label}`, Buffer.from(hex, 'hex')));
      const answer = await echo(multipart([email, partIn('koi8-r', 'message', Buffer.from('f0', 'hex')), ...parts]));
      expect(answer.json.message).to.equal('П');
      const stored = await showMessage(openScope(context), 'latest');
      expect(stored.extra).to.deep.equal(Object.fromEntries(texts.map(([label, , text]) => [`x-${label}`, text])));
    }
  });

  it('as multipart keeps every known field, and its traps, in another charset', async () => {
    const odd = (name: string, text: string) => partIn('iso-8859-15', name, Buffer.from(text, 'latin1'));
    const fields = [odd('name', 'Ren\xe9 \xa4'), odd('subject', '\xbd'), ...required];
    await using context = await openTestContext(db);
    expect((await echo(multipart(fields))).status).to.equal(201);
    const { name, subject, status } = await showMessage(openScope(context), 'latest');
    expect({ name, subject, status }).to.deep.equal({ name: 'René €', subject: 'œ', status: 'accepted' });

    await echo(multipart([...required, partIn('koi8-r', '_gotcha', Buffer.from('x'))]));
    expect((await showMessage(openScope(context), 'latest')).reasons).to.deep.equal(['honeypot']);
  });

  it('is read in the charset that _charset_ names, with the references of browsers', async () => {
    const text =
      'email=ada@example.test&message=5+%80+%26%2320320%3B%26%23128512%3B+%26%23233%3B+%26%2365%3B+%26%2355296%3B';
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const chinese = Buffer.from(
      'email=ada@example.test&_CHARSET_=gbk&message=\xc4\xe3&gr%A8%B9%DFe=&#233;&#223;',
      'latin1',
    );
    const latin1 = (value: string) => Buffer.from(value, 'latin1');
    const named = (name: string, value: string) => latin1(part(name, value));
    for (const [init, message, extra] of [
      [{ method: 'POST', headers, body: `_charset_=windows-1252&${text}` }, '5 € 你😀 &#233; &#65; &#55296;', {}],
      [{ method: 'POST', headers, body: `${text}&_charset_=ISO-8859-1` }, '5 € 你😀 &#233; &#65; &#55296;', {}],
      [
        {
          method: 'POST',
          headers,
          body: chinese.toString('latin1').replace(/gr.*/, 'x=%26%23223%3B').replace('\xc4\xe3', '%C4%E3'),
        },
        '你',
        { x: 'ß' },
      ],
      [
        { method: 'POST', headers, body: '_charset_=utf-8&email=ada@example.test&message=%26%2320320%3B' },
        '&#20320;',
        {},
      ],
      [{ method: 'POST', headers, body: 'email=ada@example.test&message=%26%2320320%3B' }, '&#20320;', {}],
      [
        { method: 'POST', headers, body: '_charset_=Shift_JIS&email=ada@example.test&message=%93%FA%26%2354620%3B' },
        '日한',
        {},
      ],
      [
        {
          method: 'POST',
          headers,
          body: '_charset_=ISO-2022-JP&email=ada@example.test&message=%26%2326085%3B%26%2354620%3B',
        },
        '&#26085;한',
        {},
      ],
      [
        {
          method: 'POST',
          headers,
          body: '_charset_=euc-kr&email=ada@example.test&message=%8Cc%26%2346624%3B%26%2320320%3B',
        },
        '똠&#46624;你',
        {},
      ],
      [
        {
          method: 'POST',
          headers,
          body: '_charset_=big5&email=ada@example.test&message=%C7U%26%2312398%3B%26%2317392%3B',
        },
        'の&#12398;䏰',
        {},
      ],
      [
        multipart([
          named('email', 'ada@example.test'),
          named('gr\xf6\xdfe', 'L'),
          named('message', '\xfc &#8364;'),
          named('_charset_', 'iso-8859-2'),
        ]),
        'ü €',
        { größe: 'L' },
      ],
    ] as [RequestInit, string, object][]) {
      await db.empty();
      const answer = await echo(init);
      expect([answer.status, answer.json.message]).to.deep.equal([201, message]);
      await using context = await openTestContext(db);
      expect((await showMessage(openScope(context), 'latest')).extra).to.deep.equal(extra);
    }
  });

  it('keeps a nameless field as "unnamed", and ignores an empty one, in every type', async () => {
    const nameless = (value: string) => `Content-Disposition: form-data\r\n\r\n${value}`;
    const fields = 'email=ada@example.test&message=Hello';
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const json = { method: 'POST', headers: { 'Content-Type': 'application/json' } };
    await using context = await openTestContext(db);
    for (const [init, extra] of [
      [{ method: 'POST', headers, body: `${fields}&=x&unnamed=y&%20=&=` }, { unnamed: 'x, y' }],
      [{ method: 'POST', headers, body: `${fields}&=&=` }, {}],
      [{ ...json, body: JSON.stringify(submission({ '': 'x', '\u200b': null })) }, { unnamed: 'x' }],
      [{ ...json, body: JSON.stringify(submission({ '': '', ' ': ['a', 'b'] })) }, { unnamed: 'a, b' }],
      [multipart([...required, nameless('x'), part('', 'y'), nameless('')]), { unnamed: 'x, y' }],
      [multipart([...required, nameless(''), part('', '')]), {}],
    ] as [RequestInit, object][]) {
      await db.empty();
      const answer = await http.send('/api/messages', init);
      expect(answer.status, answer.text).to.equal(201);
      expect((await showMessage(openScope(context), 'latest')).extra).to.deep.equal(extra);
    }
  });

  it('as multipart may have an empty file input', async () => {
    const empty =
      'Content-Disposition: form-data; name="cv"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n';
    expect((await echo(multipart([...required, empty]))).status).to.equal(201);
  });

  it('with fields called __proto__ and constructor is stored, in every type', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    const json = `{"email":"ada@example.test","message":"1",${names.map((it) => `"${it}":"x"`)}}`;
    const urlencoded = new URLSearchParams([
      ['email', 'ada@example.test'],
      ['message', '2'],
      ...names.map((it): [string, string] => [it, 'x']),
    ]);
    expect((await http.post('/api/messages', json)).status).to.equal(201);
    expect((await http.send('/api/messages', { method: 'POST', body: urlencoded })).status).to.equal(201);
    expect((await echo(multipart([...required, ...names.map((it) => part(it, 'x'))]))).status).to.equal(201);
    expect(await db.count('messages')).to.equal(3);
  });

  it('with numbers, and larger ones as text, keeps every digit', async () => {
    const order = '9007199254740993';
    await http.post('/api/messages', submission({ largest: 9007199254740991, order, guests: 2 }));
    await using context = await openTestContext(db);
    const stored = await showMessage(openScope(context), 'latest');
    expect(stored.extra).to.deep.equal({ largest: '9007199254740991', order, guests: '2' });
  });

  it('with several texts in one extra field keeps them joined, in every type', async () => {
    const chosen = ['red', '', 'deep blue', 'a, b', ' '];
    const fields = [...Object.entries(submission()), ...chosen.map((it) => ['colour', it])] as [string, string][];
    const empty = [
      ['none', ''],
      ['none', ''],
    ] as [string, string][];
    const form = new FormData();
    for (const [name, value] of [...fields, ...empty]) form.append(name, value);
    const bodies: RequestInit[] = [
      { body: new URLSearchParams([...fields, ...empty]) },
      { body: form },
      {
        body: JSON.stringify(submission({ colour: chosen, none: [] })),
        headers: { 'Content-Type': 'application/json' },
      },
    ];
    await using context = await openTestContext(db);
    for (const init of bodies) {
      await db.empty();
      const answer = await http.send('/api/messages', { method: 'POST', ...init });
      expect(answer.status, answer.text).to.equal(201);
      const stored = await showMessage(openScope(context), 'latest');
      expect(stored.extra).to.deep.equal({ colour: 'red, deep blue, a, b' });
    }
    const [posted] = await Promise.all(bodies.map((init) => http.send('/api/messages', { method: 'POST', ...init })));
    expect(posted?.status).to.equal(201);
    expect(await db.count('messages'), 'the same post, whatever it came as').to.equal(1);
  });

  it('with a repeated extra field is limited by the length of the joined text', async () => {
    const post = (last: string) =>
      http.post('/api/messages', submission({ colour: ['x'.repeat(1000), 'y'.repeat(997), last] }));
    const answer = await post('z');
    expect(answer.json.errors).to.deep.equal([
      { field: 'colour', code: 'too-long', message: 'must be no longer than 2000 characters' },
    ]);
    expect((await post('')).status).to.equal(201);
  });

  it('with a repeated required field is rejected if every value is empty', async () => {
    await db.query(
      `insert into forms (id, slug, required_fields) values (gen_random_uuid(), 'choose', '{colour}') on conflict do nothing`,
    );
    const post = (colour: string[]) =>
      http.send('/api/forms/choose/messages', {
        method: 'POST',
        body: new URLSearchParams([
          ['email', 'ada@example.test'],
          ['message', 'x'],
          ...colour.map((it): [string, string] => ['colour', it]),
        ]),
      });
    expect((await post(['', ' '])).json.errors).to.deep.equal([
      { field: 'colour', code: 'missing', message: 'is required' },
    ]);
    expect((await post(['', 'red'])).status).to.equal(201);
  });

  it('may have a content type in any case and with parameters', async () => {
    const headers = { 'Content-Type': 'Application/JSON; Charset="UTF-8"' };
    expect((await http.post('/api/messages', submission(), headers)).status).to.equal(201);
  });

  it('is requested with 100 Continue only if it will be read', async () => {
    const body = JSON.stringify(submission());
    const close = { lastOnConnection: true };
    const taken = await exchange(server.url, rawPost('/api/messages', body, { Expect: '100-continue' }, close));
    expect(taken).to.match(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 Created\r\n/);

    const headOnly = rawPost('/api/messages', '', { Expect: '100-continue', 'Content-Length': '70000' });
    const refused = await exchange(server.url, headOnly);
    expect(refused)
      .to.match(/^HTTP\/1\.1 413 /)
      .and.match(/\r\nConnection: close\r\n/);
    expect(await exchange(server.url, rawPost('/api/messages', body, { Expect: 'a-miracle' }, close))).to.match(
      /^HTTP\/1\.1 417 .*\r\nX-Content-Type-Options: nosniff\r\n/s,
    );
  });

  it('is read separately from a pipelined second post, and answered in order', async () => {
    const first = rawPost('/api/message', JSON.stringify(submission({ message: 'first' })));
    const second = rawPost(
      '/api/message',
      JSON.stringify(submission({ message: 'second' })),
      {},
      { lastOnConnection: true },
    );
    const answers = await exchange(server.url, first + second);
    expect(answers.match(/HTTP\/1\.1 201/g)).to.have.lengthOf(2);
    expect(answers.indexOf('"first"')).to.be.greaterThan(0).and.below(answers.indexOf('"second"'));
  });

  it('that is too large does not block the next request on its connection', async () => {
    const next = rawPost('/api/messages', JSON.stringify(submission()), {}, { lastOnConnection: true });
    const half = 'x'.repeat(200_000);
    const told = rawPost('/api/messages', half, { 'Content-Length': '400000' });
    const head = 'POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
    const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n61a80\r\n${half}`;
    for (const [first, rest] of [
      [told, half],
      [chunked, `${half}\r\n0\r\n\r\n`],
    ] as const) {
      const socket = await dial(server.url);
      let answers = '';
      socket.on('data', (bytes) => {
        answers += bytes;
      });
      socket.write(first);
      await until('the first is refused', () => answers.includes('HTTP/1.1 413'));
      socket.write(rest + next);
      await until('the second is answered', () => answers.includes('HTTP/1.1 201'), 4000);
      socket.destroy();
    }
  });

  it('that ends early because the client left does not disturb the server', async () => {
    const socket = await dial(server.url);
    socket.write(rawPost('/api/messages', '{"email":', { 'Content-Length': '5000' }));
    const answered = () => server.log.split('\n').filter((line) => line.includes('"status":400')).length;
    const before = answered();
    await until('the server has begun to read', async () => socket.bytesWritten > 0);
    socket.destroy();
    await until('the request is given up', () => answered() > before);
    expect((await http.post('/api/messages', submission())).status).to.equal(201);
  });

  describe('is rejected and not stored', () => {
    afterEach(async () => {
      expect(await db.count('messages')).to.equal(0);
    });

    it('with 422 and the name of every file part, besides the other errors', async () => {
      const form = new FormData();
      form.set('email', 'ada@');
      form.set('message', 'Hello');
      form.set('cv', new Blob([new Uint8Array([0, 255, 254])], { type: 'application/pdf' }), 'cv.pdf');
      form.set('empty', new Blob([]), 'empty.txt');
      form.set('_photo', new Blob(['x']), 'photo.jpg');

      const answer = await http.send('/api/messages', { method: 'POST', body: form });

      expect(answer.status).to.equal(422);
      const faults = answer.json.errors.map((it: { field: string; code: string }) => `${it.field} ${it.code}`);
      expect(faults).to.have.members(['cv file', 'empty file', '_photo file', 'email invalid']);
    });

    it('with 422 if a required field is a file, named once', async () => {
      const form = new FormData();
      form.set('email', 'ada@example.test');
      form.set('message', new Blob(['Hello']), 'message.txt');
      const answer = await http.send('/api/messages', { method: 'POST', body: form });
      expect(answer.json.errors).to.deep.equal([
        { field: 'message', code: 'file', message: 'must be text; files are not accepted' },
      ]);
    });

    it('with 422 and the name of a part with another disposition than form-data', async () => {
      const attached = (disposition: string) => `Content-Disposition: ${disposition}\r\n\r\nx`;
      const dispositions = ['attachment; name="cv"; filename=a', 'Attachment ;name=notes', 'inline; name=photo'];
      const more = ['attachment; filename="cv.pdf"', 'attachment'];
      const answer = await http.send(
        '/api/messages',
        multipart([...required, ...[...dispositions, ...more].map(attached)]),
      );
      expect(answer.status).to.equal(422);
      const faults = answer.json.errors.map((it: { field: string; code: string }) => `${it.field} ${it.code}`);
      expect(faults).to.deep.equal(['cv file', 'notes file', 'photo file', 'cv.pdf file', 'unnamed file']);
    });

    it('with 400 for urlencoded in a charset that is unknown or does not fit', async () => {
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      for (const text of [
        '_charset_=klingon&message=x',
        '_charset_=gbk&message=%80%FF',
        '_charset_=utf-8&message=%FC',
      ]) {
        const answer = await http.send('/api/messages', {
          method: 'POST',
          headers,
          body: `email=ada@example.test&${text}`,
        });
        expect([answer.status, answer.json.code], text).to.deep.equal([400, 'body-unreadable']);
      }
    });

    it('from a browser without script: the page names the file and keeps the rest', async () => {
      const form = new FormData();
      form.set('email', 'ada@example.test');
      form.set('message', 'What I typed');
      form.set('cv', new Blob(['x']), 'cv.pdf');
      const page = await http.send('/api/messages', { method: 'POST', headers: { Accept: browserAccept }, body: form });
      expect(page.status).to.equal(422);
      expect(page.text).to.include('What I typed').and.include('Cv must be text; files are not accepted');
    });

    for (const [what, body] of [
      ['named twice in multipart', multipart([...required, part('email', 'bob@example.test')])],
      [
        'named twice in urlencoded',
        { method: 'POST', body: new URLSearchParams('email=a@example.test&email=b@example.test&message=x') },
      ],
    ] as [string, RequestInit][]) {
      it(`with 422 for a field ${what}`, async () => {
        const answer = await http.send('/api/messages', body);
        expect(answer.status).to.equal(422);
        expect(answer.json.errors).to.deep.equal([{ field: 'email', code: 'invalid', message: 'must be one text' }]);
      });
    }

    it('with 422 for objects, lists and operators in JSON, unlike in a form', async () => {
      for (const email of [{ $ne: '' }, ['ada@example.test'], { toString: 'x' }, 7, true]) {
        const answer = await http.post('/api/messages', submission({ email }));
        expect(answer.json.errors?.[0], JSON.stringify(email)).to.deep.equal({
          field: 'email',
          code: 'invalid',
          message: 'must be one text',
        });
      }
      const nested = new URLSearchParams({ 'email[$ne]': 'x', 'email.address': 'ada@example.test', message: 'x' });
      const answer = await http.send('/api/messages', { method: 'POST', body: nested });
      expect(answer.json.errors).to.deep.equal([{ field: 'email', code: 'missing', message: 'is required' }]);
    });

    it('with 422 for an extra field whose list contains anything but texts', async () => {
      const deep = `{"email":"a@example.test","message":"x","colour":${'['.repeat(90)}${']'.repeat(90)}}`;
      for (const body of [
        submission({ colour: ['a', 1] }),
        submission({ colour: [['a']] }),
        submission({ colour: [null] }),
        deep,
      ]) {
        const answer = await http.post('/api/messages', body);
        expect(answer.json.errors).to.deep.equal([{ field: 'colour', code: 'invalid', message: 'must be one text' }]);
      }
    });

    it('with 422 for a number that lost digits; as text it is kept', async () => {
      for (const number of ['9007199254740993', '-9007199254740992', '1e300', '1e400']) {
        const answer = await http.post('/api/messages', `{"email":"a@example.test","message":"x","order":${number}}`);
        expect(answer.status, number).to.equal(422);
        expect(answer.json.errors).to.deep.equal([
          { field: 'order', code: 'invalid', message: 'is too large a number to be kept exactly; send it as text' },
        ]);
      }
    });

    it('with 422 under the name that the client used for the field', async () => {
      const answer = await http.post('/api/messages', { _replyto: 'ada@', first_name: 'x'.repeat(201), message: 'x' });
      expect(answer.json.errors.map((it: { field: string }) => it.field)).to.deep.equal(['_replyto', 'first_name']);
    });

    for (const [where, fields] of [
      ['a value', 'name=J%FCrgen'],
      ['a name', 'gr%F6%DFe=L'],
      ['a value beside a character that was typed', 'name=%EF%BF%BD+%FC'],
      ['a character that breaks off', 'name=%C3&company=%BC'],
    ]) {
      for (const form of ['escaped', 'raw'] as const) {
        it(`with 400 and advice if urlencoded has Latin-1 in ${where}, ${form}`, async () => {
          const text = `email=ada@example.test&message=Hello&${fields}`;
          const body = form === 'escaped' ? text : Buffer.from(unescape(text), 'latin1');
          const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
          const answer = await http.send('/api/messages', { method: 'POST', headers, body });
          expect([answer.status, answer.json.code]).to.deep.equal([400, 'body-unreadable']);
          expect(answer.json.detail).to.include('accept-charset="utf-8"');
        });
      }
    }

    const head = `--${boundary}\r\n`;
    for (const [what, init] of [
      ['breaks off inside a value', multipart([], `${head}${part('email', 'ada@exam')}`)],
      [
        'breaks off inside a file',
        multipart([], `${head}Content-Disposition: form-data; name="cv"; filename="x"\r\n\r\nabc`),
      ],
      ['breaks off inside the headers of a part', multipart([], `${head}Content-Disposition: form-da`)],
      ['has a part without a disposition', multipart([...required, 'Content-Type: text/plain\r\n\r\nx'])],
      ['has a disposition that is not valid', multipart([...required, 'Content-Disposition: form-data; a\r\n\r\nx'])],
      ['has a part in an unknown charset', multipart([...required, partIn('klingon', 'a', Buffer.from('x'))])],
      ['has a part in an empty charset', multipart([...required, partIn(' ', 'a', Buffer.from('x'))])],
      ['has a part in a withdrawn charset', multipart([...required, partIn('hz-gb-2312', 'a', Buffer.from('x'))])],
      ['has bytes that its charset lacks', multipart([...required, partIn('gbk', 'a', Buffer.from('80ff', 'hex'))])],
      ['has Big5 that no browser reads', multipart([...required, partIn('big5', 'a', Buffer.from('835c', 'hex'))])],
      ['has Korean that is no character', multipart([...required, partIn('euc-kr', 'a', Buffer.from('8c20', 'hex'))])],
      ['breaks off inside a character', multipart([...required, partIn('utf-16', 'a', Buffer.from('x'))])],
      ['names an unknown charset', multipart([...required, part('_charset_', 'klingon')])],
      ['has a part whose headers are none', multipart([...required, 'no header at all\r\n\r\nx'])],
      [
        'has a part in base64',
        multipart([
          ...required,
          'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\neA==',
        ]),
      ],
      [
        'has a part in an unknown encoding',
        multipart([
          ...required,
          'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: uuencode\r\n\r\neA==',
        ]),
      ],
      [
        'holds bytes that are no UTF-8',
        multipart([
          part('email', 'ada@example.test'),
          Buffer.concat([Buffer.from(part('message', 'x')), Buffer.from([0xff, 0xfe])]),
        ]),
      ],
      ['is empty', { ...multipart([]), body: '' }],
      ['names no boundary', { ...multipart(required), headers: { 'Content-Type': 'multipart/form-data' } }],
    ] as [string, RequestInit][]) {
      it(`with 400 if multipart ${what}`, async () => {
        const answer = await http.send('/api/messages', init);
        expect(answer.status).to.equal(400);
        expect(answer.json.code).to.equal('body-unreadable');
      });
    }

    it('with 413 over 64 KiB, declared in advance or not, however large', async () => {
      const large = multipart([...required, part('extra', 'x'.repeat(65 * 1024))]);
      expect((await http.send('/api/messages', large)).status).to.equal(413);
      const stream = new Blob([Buffer.alloc(200_000)]).stream();
      const chunked = { ...large, body: stream, duplex: 'half' } as RequestInit;
      expect((await http.send('/api/messages', chunked)).status).to.equal(413);
      expect((await http.post('/api/messages', 'x'.repeat(5_000_000))).status).to.equal(413);
    });

    it('with 422 for thousands of fields, in every type', async () => {
      const names = Array.from({ length: 5000 }, (_, i) => `f${i}`);
      const bodies: RequestInit[] = [
        { method: 'POST', body: new URLSearchParams(names.map((it): [string, string] => [it, ''])) },
        multipart(names.slice(0, 500).map((it) => part(it, ''))),
        {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(Object.fromEntries(names.map((it) => [it, 1]))),
        },
      ];
      for (const body of bodies) {
        const answer = await http.send('/api/messages', body);
        expect(answer.status).to.equal(422);
        expect(answer.json.errors.map((it: { code: string }) => it.code)).to.include('too-many');
      }
    });

    it('with 415 for JSON as text/plain, which any website can post', async () => {
      const headers = { 'Content-Type': 'text/plain' };
      expect((await http.post('/api/messages', submission(), headers)).status).to.equal(415);
    });

    for (const [what, text] of [
      [
        'both lengths (Content-Length and Transfer-Encoding)',
        'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ],
      ['two Content-Lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n\r\n{"a"}'],
      ['a Transfer-Encoding that only looks like chunked', 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
      ['a space before a colon', 'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n'],
      ['a chunk size that is none', 'Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n'],
    ] as const) {
      it(`with 400 for ${what}, and the connection closes: no request smuggling`, async () => {
        const hidden = rawPost('/api/messages', JSON.stringify(submission()));
        const head = 'POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
        const answer = await exchange(server.url, head + text + hidden);
        expect(answer)
          .to.match(/^HTTP\/1\.1 400 Bad Request\r\n/)
          .and.include('X-Content-Type-Options: nosniff');
        expect(answer.match(/HTTP\/1\.1/g)).to.have.lengthOf(1);
      });
    }
  });

  it('with half surrogates, NUL and other controls is never answered 5xx', async () => {
    const odd = [
      '\ud800',
      '\udfff\ud800',
      '\u0000',
      '\u001b[2J',
      '\u0085\u2028',
      '\ufeff',
      '\u202e',
      '\u0000'.repeat(2000),
    ];
    for (const text of odd) {
      for (const field of ['email', 'message', 'name', 'subject', 'company', '_next', '_gotcha', text]) {
        const answer = await http.post('/api/messages', submission({ [field]: text }));
        expect([201, 422], `${field} ${JSON.stringify(text.slice(0, 20))}`).to.include(answer.status);
      }
    }
    expect(server.log).to.not.include('unexpected error');
  });
});
