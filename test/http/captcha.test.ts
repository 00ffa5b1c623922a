import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { solveChallenge } from 'altcha-lib';
import { deriveKey } from 'altcha-lib/algorithms/pbkdf2';
import { expect } from 'chai';
import { createHosted } from '../../src/captcha/hosted.ts';
import { browserAccept, type Client, submission } from '../support/api.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi, type ServerHere } from '../support/server-here.ts';

async function solve(http: Client, form = 'contact'): Promise<string> {
  const challenge = (await http.get(`/api/captcha?form=${form}`)).json;
  const solution = await solveChallenge({ challenge, deriveKey });
  return Buffer.from(JSON.stringify({ challenge, solution })).toString('base64');
}

describe('CAPTCHA=altcha', () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;

  before(async () => {
    api = await openApi({ CAPTCHA: 'altcha' });
    ({ db, http } = api);
    await db.query(`insert into forms (id, slug, captcha) values (gen_random_uuid(), 'open', 'none')`);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  it('rejects a post without a solution, and says how to continue', async () => {
    const answer = await http.post('/api/messages', submission());
    expect([answer.status, answer.json.code]).to.deep.equal([403, 'captcha-required']);
    const page = await http.send('/api/messages', {
      method: 'POST',
      headers: { Accept: browserAccept },
      body: new URLSearchParams({ email: 'ada@example.test', message: 'x' }),
    });
    expect(page.status).to.equal(403);
    expect(page.text).to.include('captcha');
    expect(await db.count('messages')).to.equal(0);
  });

  it('rejects a browser with a page that keeps its allowed redirect', async () => {
    const redirectOf = async (path: string, fields: Record<string, string> = {}) => {
      const page = await http.send(path, {
        method: 'POST',
        headers: { Accept: browserAccept },
        body: new URLSearchParams({ email: 'ada@example.test', message: 'x', ...fields }),
      });
      expect(page.status).to.equal(403);
      return /data-redirect="([^"]*)"/.exec(page.text)?.[1];
    };
    expect(await redirectOf('/api/messages')).to.equal('/thanks');
    expect(await redirectOf('/api/messages', { _next: 'https://evil.test/' })).to.equal('/thanks');
    expect(await redirectOf('/api/messages', { _next: 'http://localhost:8080/a?b=1' })).to.equal(
      'http://localhost:8080/a?b=1',
    );
    await db.query(`insert into forms (id, slug, redirect_url)
      values (gen_random_uuid(), 'leads', 'https://shop.example.test/danke') on conflict do nothing`);
    expect(await redirectOf('/f/leads')).to.equal('https://shop.example.test/danke');
    expect(await redirectOf('/f/leads', { _next: 'http://localhost:1/' })).to.equal('http://localhost:1/');
  });

  it('accepts a solved one and does not store it as a field', async () => {
    const answer = await http.post('/api/messages', submission({ altcha: await solve(http) }));
    expect(answer.status, answer.text).to.equal(201);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
  });

  it('accepts a solution once, even for fifty posts at the same moment', async () => {
    const altcha = await solve(http);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        http.post('/api/messages', submission({ altcha, email: `p${i}@example.test` })),
      ),
    );
    const codes = answers.map((it) => it.json.code ?? it.status).sort();
    expect(codes).to.deep.equal([201, ...Array(49).fill('captcha-wrong')].sort());
    expect(await db.count('messages')).to.equal(1);
    expect(await db.count('emails')).to.equal(2);
  });

  it("ignores the library's options in a solution", async () => {
    const solved = JSON.parse(Buffer.from(await solve(http), 'base64').toString());
    const options = { hmacAlgorithm: 'SHA-512', counterMode: 'string', hmacKeySignatureSecret: 'x' };
    const answer = await http.post('/api/messages', submission({ altcha: JSON.stringify({ ...options, ...solved }) }));
    expect(answer.status, answer.text).to.equal(201);
  });

  it('gives a repeated post, whose solution is used up, the first answer', async () => {
    const altcha = await solve(http);
    const headers = { 'Idempotency-Key': 'k' };
    const [first, second] = await Promise.all([
      http.post('/api/messages', submission({ altcha }), headers),
      http.post('/api/messages', submission({ altcha }), headers),
    ]);
    const third = await http.post('/api/messages', submission({ altcha }), headers);
    expect([first.status, second.text, third.text]).to.deep.equal([201, first.text, first.text]);
    expect(await db.count('messages')).to.equal(1);
  });

  it('counts places of a form with a limit only for solved posts, and answers repeats', async () => {
    await db.query(
      `insert into forms (id, slug, captcha, message_limit) values (gen_random_uuid(), 'seats', 'altcha', 2)`,
    );
    const headers = (key: string) => ({ 'Idempotency-Key': key });
    const post = async (changes: Record<string, unknown>, key: string) =>
      await http.post('/api/forms/seats/messages', submission(changes), headers(key));
    expect((await post({ altcha: 'wrong' }, 'a')).json.code).to.equal('captcha-wrong');
    const altcha = await solve(http, 'seats');
    const first = await post({ altcha }, 'a');
    expect((await post({ altcha, message: 'Again' }, 'b')).json.code, 'used before').to.equal('captcha-wrong');
    const last = await solve(http, 'seats');
    const answers = await Promise.all(['b', 'b', 'c'].map((key) => post({ altcha: last, message: key }, key)));
    const codes = answers.map((it) => it.json.code ?? it.status).sort();
    expect(codes).to.be.deep.oneOf([
      [201, 201, 'form-closed'],
      [201, 'form-closed', 'form-closed'],
    ]);
    expect((await post({ altcha }, 'a')).text).to.equal(first.text);
    expect((await post({ altcha: await solve(http, 'seats') }, 'd')).json.code).to.equal('form-closed');
    expect(await db.count('messages')).to.equal(2);
  });

  it("rejects wrong, forged and modified solutions, and other forms' ones", async () => {
    const good = JSON.parse(Buffer.from(await solve(http), 'base64').toString());
    const faulty = [
      'nonsense',
      '{}',
      '[1]',
      '{"challenge":{"parameters":{}},"solution":{}}',
      JSON.stringify({ ...good, solution: { ...good.solution, counter: good.solution.counter + 1 } }),
      JSON.stringify({ ...good, challenge: { ...good.challenge, signature: 'x' } }),
      JSON.stringify({
        ...good,
        challenge: { ...good.challenge, parameters: { ...good.challenge.parameters, expiresAt: 4e9 } },
      }),
      JSON.stringify({
        ...good,
        challenge: { ...good.challenge, parameters: { ...good.challenge.parameters, data: { form: 'other' } } },
      }),
      JSON.stringify({
        ...good,
        challenge: { ...good.challenge, parameters: { ...good.challenge.parameters, cost: 1, keyPrefix: '' } },
      }),
      'x'.repeat(5000),
    ];
    for (const altcha of faulty) {
      const answer = await http.post('/api/messages', submission({ altcha }));
      expect([answer.status, answer.json.code], altcha.slice(0, 60)).to.deep.equal([403, 'captcha-wrong']);
    }
    expect(await db.count('messages')).to.equal(0);
  });

  it('gives no challenge for a form that does not ask for one', async () => {
    expect((await http.get('/api/captcha?form=open')).status).to.equal(404);
    expect((await http.get('/api/captcha?form=nowhere')).status).to.equal(404);
  });
});

describe('a hosted captcha', () => {
  let api: Api;
  let db: TestDatabase;
  let provider: Server;
  let server: ServerHere;
  let http: Client;
  let answerWith: (solution: string) => { status: number; body: string } | undefined;
  const asked: URLSearchParams[] = [];

  before(async () => {
    provider = createServer(async (request, response) => {
      const form = new URLSearchParams(await readText(request));
      asked.push(form);
      const answer = answerWith(form.get('response') ?? '');
      // Undefined: the response does not say.
      if (answer) response.writeHead(answer.status).end(answer.body);
    });
    await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
    api = await openApi({
      CAPTCHA: 'turnstile',
      CAPTCHA_SECRET: 's3cret',
      CAPTCHA_SITE_KEY: 'site',
      CAPTCHA_VERIFY_URL: `http://127.0.0.1:${(provider.address() as AddressInfo).port}/siteverify`,
    });
    ({ db, server, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
    provider.closeAllConnections();
    provider.close();
  });
  afterEach(async () => {
    asked.length = 0;
    await db.empty();
  });

  it("applies to its own form; each rejection explains that form's captcha", async () => {
    await db.query(
      `insert into forms (id, slug, captcha) values (gen_random_uuid(), 'own', 'altcha') on conflict do nothing`,
    );
    const pageOf = async (path: string, fields: Record<string, string> = {}) => {
      const page = await http.send(path, {
        method: 'POST',
        headers: { Accept: browserAccept },
        body: new URLSearchParams({ email: 'ada@example.test', message: 'What I typed', ...fields }),
      });
      expect(page.status).to.equal(403);
      return page.text;
    };
    for (const altcha of ['', 'wrong']) {
      expect(await pageOf('/f/own', { altcha }))
        .to.include('One more step')
        .and.match(/<form [^>]*action="\/f\/own"[^>]* data-ruffinweb/)
        .and.include('What I typed');
    }
    expect(await pageOf('/f/contact'))
      .to.include('solve the captcha there')
      .and.not.include('<form');
    expect((await http.post('/f/own', submission({ altcha: await solve(http, 'own') }))).status).to.equal(200);
  });

  const post = () => http.post('/api/messages', submission({ 'cf-turnstile-response': 'token' }));

  it('is verified once for a post that is checked again after a form change', async () => {
    const used = new Set<string>();
    answerWith = (solution) => {
      const success = !used.has(solution);
      used.add(solution);
      return { status: 200, body: JSON.stringify({ success, 'error-codes': success ? [] : ['timeout-or-duplicate'] }) };
    };
    const send = (solution: string) =>
      http.post('/api/messages', submission({ 'cf-turnstile-response': solution, email: `${solution}@example.test` }));
    expect((await send('first')).status).to.equal(201);
    await db.query(`update forms set name = 'Another name' where slug = 'contact'`);
    const answer = await send('second');
    expect(answer.status, answer.text).to.equal(201);
    expect(asked.map((it) => it.get('response'))).to.deep.equal(['first', 'second']);
    const again = await send('second');
    expect([again.status, again.json.receipt]).to.deep.equal([201, answer.json.receipt]);
  });
  const json = (body: unknown) => () => ({ status: 200, body: JSON.stringify(body) });

  it('accepts a post that the provider accepts', async () => {
    answerWith = json({ success: true });
    expect((await post()).status).to.equal(201);
    expect(Object.fromEntries(asked[0] ?? [])).to.include({ secret: 's3cret', response: 'token' });
    expect(await db.query('select status from messages')).to.deep.equal([{ status: 'accepted' }]);
    expect(server.log).to.not.include('s3cret');
  });

  it('rejects a post that the provider rejects', async () => {
    answerWith = json({ success: false, 'error-codes': ['invalid-input-response'] });
    const answer = await post();
    expect([answer.status, answer.json.code]).to.deep.equal([403, 'captcha-wrong']);
    expect((await http.post('/api/messages', submission())).json.code).to.equal('captcha-required');
    expect(await db.count('messages')).to.equal(0);
  });

  for (const [what, status, body, token] of [
    ['that is longer than 4096 characters', 200, { success: true }, 'x'.repeat(4097)],
    ['that the provider answers with 400', 400, { success: false, 'error-codes': ['invalid-input-response'] }],
    ['that the provider finds malformed', 400, { success: false, 'error-codes': ['bad-request'] }],
    ['that was solved on another site', 200, { success: true, hostname: 'evil.example' }],
    ['that was solved on a site of another form', 200, { success: true, hostname: 'shop.example.test' }],
    ['that a program seems to have solved', 200, { success: true, score: 0.4 }],
    ['that was solved for another action', 200, { success: true, hostname: 'localhost', action: 'login' }],
  ] as [string, number, object, string?][]) {
    it(`rejects a solution ${what}`, async () => {
      answerWith = () => ({ status, body: JSON.stringify(body) });
      const answer = await http.post('/api/messages', submission({ 'cf-turnstile-response': token ?? 'token' }));
      expect([answer.status, answer.json.code]).to.deep.equal([403, 'captcha-wrong']);
      expect(await db.count('messages')).to.equal(0);
      expect(asked).to.have.lengthOf(token === undefined ? 1 : 0);
      if ('hostname' in body) expect(server.log).to.include(`"hostname":"${body.hostname}"`);
    });
  }

  it('accepts a solution from an origin of the form, with its name as the action', async () => {
    await db.query(`insert into forms (id, slug, origins)
      values (gen_random_uuid(), 'price-list', '{https://shop.example.test}') on conflict do nothing`);
    for (const [slug, hostname, action] of [
      ['price-list', 'Shop.example.test', 'price_list'],
      ['price-list', 'localhost', ''],
      ['contact', '127.0.0.1', 'contact'],
      ['contact', '127.0.0.1', 'submit'],
    ] as const) {
      answerWith = json({ success: true, hostname, action });
      const answer = await http.post(`/api/forms/${slug}/messages`, submission({ 'cf-turnstile-response': hostname }));
      expect(answer.status, hostname).to.equal(201);
      await db.empty();
    }
  });

  it('of the provider’s own test page passes with a test secret', async () => {
    answerWith = json({ success: true, hostname: 'example.com', action: 'test' });
    const { port } = provider.address() as AddressInfo;
    const test = createHosted('turnstile', {
      secret: `1x${'0'.repeat(31)}AA`,
      verifyUrl: `http://127.0.0.1:${port}/siteverify`,
    });
    const given = { formSlug: 'contact', clientAddress: undefined };
    expect(await test.check('token', given)).to.deep.equal({ result: 'passed' });
  });

  it('reads no more of an answer than a real one has', async () => {
    const closed = Promise.withResolvers<void>();
    let pieces = 0;
    answerWith = () => undefined;
    provider.once('request', (_, response) => {
      response.writeHead(200);
      const piece = Buffer.alloc(64 * 1024, ' ');
      const more = () => {
        do pieces += 1;
        while (response.write(piece));
      };
      response.on('drain', more).on('close', closed.resolve);
      more();
    });
    expect((await post()).status).to.equal(201);
    expect(await db.query('select reasons from messages')).to.deep.equal([{ reasons: ['captcha-unavailable'] }]);
    await closed.promise;
    expect(pieces, 'no more than the sockets hold').to.be.below(400);
  });

  for (const [what, answer] of [
    ['refusing us', json({ success: false, 'error-codes': ['missing-input-secret'] })],
    ['asked too often', () => ({ status: 429, body: JSON.stringify({ success: false }) })],
    ['refusing without a reason', () => ({ status: 403, body: '<html>' })],
    ['away', () => ({ status: 503, body: '' })],
    ['talking nonsense', () => ({ status: 200, body: '<html>' })],
    ['at odds with our secret', json({ success: false, 'error-codes': ['invalid-input-secret'] })],
    ['silent', () => undefined],
  ] as const) {
    it(`holds the message and answers as usual if the provider is ${what}`, async () => {
      answerWith = answer;
      const answered = await post();
      expect(answered.status).to.equal(201);
      expect(await db.query('select status, reasons from messages')).to.deep.equal([
        { status: 'held', reasons: ['captcha-unavailable'] },
      ]);
      expect(await db.emails()).to.deep.equal({ 'notification held': 1 });
    });
  }
});
