import { expect } from 'chai';
import { showMessage } from '../../src/services/messages/messages.ts';
import { openScope } from '../../src/services/scope.ts';
import { browserAccept, type Client } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi } from '../support/server-here.ts';
import { exchange } from '../support/wire.ts';

interface Body {
  type: string;
  text: string;
}

const largest = 64 * 1024;
const times = <Made>(count: number, make: (index: number) => Made): Made[] =>
  Array.from({ length: count }, (_, index) => make(index));

const urlencoded = (text: string): Body => ({ type: 'application/x-www-form-urlencoded', text });
const json = (text: string): Body => ({ type: 'application/json', text });
const multipart = (parts: readonly string[], disposition = 'form-data'): Body => ({
  type: 'multipart/form-data; boundary=b',
  text: `${parts.map((part) => `--b\r\nContent-Disposition:${disposition};name=${part}\r\n`).join('')}--b--\r\n`,
});

/** As many pieces as fit into the largest body. */
const fill = (head: string, piece: string, tail = '') =>
  head + piece.repeat((largest - head.length - tail.length) / piece.length) + tail;

/** A value of this many characters, each of which HTML escapes with five. */
const escaped = (length: number) => '&'.repeat(length);

describe('post of many values', () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;

  before(async () => {
    api = await openApi();
    ({ db, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  const post = ({ type, text }: Body, path: string, headers: Record<string, string> = {}) =>
    http.send(path, { method: 'POST', headers: { 'Content-Type': type, ...headers }, body: text });
  const postForPage = (body: Body, headers: Record<string, string> = {}) =>
    post(body, '/f/contact', { Accept: browserAccept, ...headers });
  const inputsIn = (page: string) => page.match(/<(?:input|textarea)\b/g) ?? [];

  const start = 'email=bad&message=typed&';
  const tooMany: [string, Body][] = [
    ['urlencoded, one name', urlencoded(fill(start, 'a&'))],
    ['urlencoded, many names', urlencoded(`${start}${times(12_000, (i) => i).join('&')}`.slice(0, largest))],
    ['JSON, many names', json(`{"message":"typed"${times(6000, (i) => `,"${i}":1`).join('')}}`)],
    [
      'JSON, many empty lists',
      json(`{"message":"typed"${times(6000, (i) => `,"${i}":[]`).join('')}}`.slice(0, largest)),
    ],
    ['JSON, a list of empty texts', json(fill('{"message":"typed","a":[""', ',""', ']}'))],
    ['JSON, a list in a list', json(fill('{"message":"typed","a":[[1', ',1', ']]}'))],
    ['JSON, an object of objects', json(`{"message":"typed","a":{"":{}${times(6000, (i) => `,"${i}":{}`).join('')}}}`)],
    ['JSON, very deep', json(`{"message":"typed","a":${'['.repeat(32_000)}${']'.repeat(32_000)}}`)],
    ['multipart, tiny parts', multipart(['message\r\n\r\ntyped', ...times(1380, () => 'a\r\n\r\n')])],
    ['multipart, files', multipart(times(1000, (i) => `${i};filename=x\r\n\r\ny`))],
    [
      'multipart, parts that are no field',
      multipart(
        times(1380, () => 'a\r\n\r\n'),
        'x',
      ),
    ],
  ];

  for (const [what, body] of tooMany) {
    it(`is rejected without any of it on the page: ${what}`, async () => {
      expect(body.text.length).to.be.within(largest * 0.6, largest);
      const page = await postForPage(body);
      expect(page.status).to.equal(422);
      expect(page.text).to.include('It has more values than are accepted.').and.not.include('typed');
      expect(inputsIn(page.text)).to.be.empty;
      expect(page.text.length).to.be.below(2000);
      expect(await db.count('messages')).to.equal(0);
    });

    it(`is rejected with one error in each API format: ${what}`, async () => {
      const message = 'there must be no more than 100 values';
      const own = await post(body, '/api/messages');
      expect([own.status, own.json.code]).to.deep.equal([422, 'fields-invalid']);
      expect(own.json.errors).to.deep.equal([{ field: '', code: 'too-many', message }]);
      expect((await post(body, '/f/contact')).json.errors).to.deep.equal([{ message }]);
      for (const path of ['/api/message/', '/api/sender/'])
        expect((await post(body, path)).json).to.deep.equal({ non_field_errors: [`T${message.slice(1)}.`] });
    });
  }

  it('is accepted up to 100 values and rejected from 101, in every type', async () => {
    const texts = (count: number) => times(count, (i) => `${i}`);
    const bodies: ((chosen: string[]) => Body)[] = [
      (chosen) => urlencoded(`email=ada@example.test&message=Hello&${chosen.map((it) => `a=${it}`).join('&')}`),
      (chosen) => json(JSON.stringify({ email: 'ada@example.test', message: 'Hello', a: chosen })),
      (chosen) =>
        multipart(['email\r\n\r\nada@example.test', 'message\r\n\r\nHello', ...chosen.map((it) => `a\r\n\r\n${it}`)]),
    ];
    await using context = await openTestContext(db);
    for (const bodyOf of bodies) {
      await db.empty();
      expect((await post(bodyOf(texts(99)), '/api/messages')).status).to.equal(422);
      expect((await post(bodyOf(texts(98)), '/api/messages')).status).to.equal(201);
      const stored = await showMessage(openScope(context), 'latest');
      expect(stored.extra).to.deep.equal({ a: texts(98).join(', ') });
    }
  });

  describe('of maximum size gets a page of at most 100 fields and six times its size', () => {
    const files = (count: number, name: string) =>
      times(count, (i) => `"${name}${i}${escaped(60)}";filename=x\r\n\r\n`);
    const faulty = times(30, (i) => `"${i}${escaped(80)}"\r\n\r\n`);
    const full = (parts: readonly string[]) => {
      const room = largest - multipart([...parts, 'message\r\n\r\n']).text.length;
      return multipart([...parts, `message\r\n\r\n${escaped(room)}`]);
    };
    const bodies: [string, Body][] = [
      ['one long text', json(fill('{"email":"bad","message":"', '&', '"}'))],
      ['urlencoded texts', urlencoded(`email=bad&${times(99, (i) => `_${i}=${'"'.repeat(650)}`).join('&')}`)],
      ['JSON texts', json(JSON.stringify(Object.fromEntries(times(100, (i) => [`_${i}`, escaped(640)]))))],
      ['a list', json(JSON.stringify({ email: 'bad', a: times(98, () => escaped(650)) }))],
      ['files', full([...files(97, ''), 'email\r\n\r\nbad'])],
      [
        'files, and faults of every kind',
        full([...files(10, '_'), ...faulty, 'email\r\n\r\nbad', 'name\r\n\r\n\u0001']),
      ],
    ];
    const check = (page: string, sent: string) => {
      expect(inputsIn(page).length).to.be.at.most(100);
      expect(Buffer.byteLength(page)).to.be.at.most(6 * sent.length);
    };

    for (const [what, body] of bodies) {
      it(`with ${what}`, async () => {
        expect(body.text.length).to.be.within(largest * 0.97, largest);
        const page = await postForPage(body);
        expect(page.status).to.equal(422);
        check(page.text, body.text);
        const foreign = await postForPage(body, { Origin: 'https://evil.example.test' });
        expect(foreign.status).to.equal(403);
        check(foreign.text, body.text);
        await db.query('alter table forms rename column slug to slug_away');
        try {
          const failed = await postForPage(body);
          expect(failed.status).to.equal(500);
          check(failed.text, body.text);
        } finally {
          await db.query('alter table forms rename column slug_away to slug');
        }
      });
    }
  });

  it('with a field name cut in the error has one field on the page', async () => {
    const name = 'x'.repeat(65);
    const { text } = await postForPage(urlencoded(`email=ada@example.test&message=Hello&${name}=typed`));
    expect(text).to.include(`name="${name}" type="text" value="typed"`);
    expect(inputsIn(text)).to.have.lengthOf(3);
  });

  it('is rejected unread if it comes in chunks of one byte', async () => {
    const body = '1\r\na\r\n'.repeat(largest);
    const head = 'POST /f/contact HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n';
    const answer = await exchange(api.server.url, `${head}Transfer-Encoding: chunked\r\n\r\n${body}0\r\n\r\n`);
    expect(answer)
      .to.match(/^HTTP\/1.1 400 /)
      .and.match(/^Connection: close/im)
      .and.include('too many pieces');
    expect((await http.get('/livez')).status).to.equal(200);
  });

  it('is refused in a query too, whatever the address', async () => {
    for (const path of [
      '/thanks',
      '/unsubscribe',
      '/release',
      '/mailbox',
      '/api/captcha',
      '/api/messages',
      '/f/contact',
      '/',
    ]) {
      const answer = await http.get(`${path}?${'a&'.repeat(100)}`);
      expect(answer.status, path).to.equal(400);
      expect(answer.text, path).to.include('no more than 100 values');
      expect((await http.get(`${path}?${'a&'.repeat(99)}`)).text, path).to.not.include('no more than 100 values');
    }
  });
});
