import { expect } from 'chai';
import { browserAccept, type Client, submission } from '../support/api.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi } from '../support/server-here.ts';

const page = 'https://site.example.test';

describe('limits, at 3 posts an hour', () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;
  let serial = 0;

  before(async () => {
    api = await openApi({
      ...{ RATE_LIMIT: '3/1h', TRUST_PROXY: '1', ALLOWED_ORIGINS: page },
      METRICS_TOKEN: 'a-token-for-the-tests',
    });
    ({ db, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  /** An address that no other test has used. */
  const someAddress = () => `203.0.${++serial % 256}.9`;
  const from = (address: string) => ({ 'X-Forwarded-For': address, Origin: page });
  const post = (address: string, body: unknown = submission({ message: `No ${++serial}` }), path = '/api/messages') =>
    http.post(path, body, from(address));

  it('accept three posts from one address, reject the fourth, and allow others', async () => {
    const address = someAddress();
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push((await post(address)).status);
    expect(statuses).to.deep.equal([201, 201, 201, 429]);
    expect((await post(someAddress())).status).to.equal(201);
    expect(await db.count('messages')).to.equal(4);
  });

  it('do not count a repeated post', async () => {
    const [address, body] = [someAddress(), submission()];
    for (let i = 0; i < 5; i++) expect((await post(address, body)).status).to.equal(201);
    expect((await post(address, body)).headers.get('x-ratelimit-remaining')).to.equal('2');
    expect(await db.count('messages')).to.equal(1);
  });

  it('accept three of twenty posts that arrive at once', async () => {
    const address = someAddress();
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(address)));
    expect(answers.filter((it) => it.status === 201)).to.have.lengthOf(3);
    expect(answers.filter((it) => it.status === 429)).to.have.lengthOf(17);
    expect(await db.count('messages')).to.equal(3);
  });

  it('count stored posts only: five corrected attempts still leave room', async () => {
    const address = someAddress();
    for (let i = 0; i < 5; i++) expect((await post(address, submission({ email: 'ada@' }))).status).to.equal(422);
    const answer = await post(address);
    expect(answer.status).to.equal(201);
    expect(answer.headers.get('x-ratelimit-remaining')).to.equal('2');
  });

  it('count together over every endpoint that stores messages', async () => {
    const address = someAddress();
    const paths = ['/api/messages', '/api/forms/contact/messages', '/f/contact', '/api/message/'];
    const statuses = [];
    for (const path of paths) statuses.push((await post(address, submission({ message: `To ${path}` }), path)).status);
    expect(statuses).to.deep.equal([201, 201, 200, 429]);
  });

  it('count pages, scripts and guesses at the token of /metrics apart: 600 a minute', async () => {
    const address = someAddress();
    const paths = [
      '/',
      '/docs',
      '/release?token=x',
      '/form.js',
      '/style.css',
      '/thanks',
      '/unsubscribe?token=x',
      '/metrics',
    ];
    const statuses = new Map<number, number>();
    for (let asked = 0; asked < 610; asked += 10) {
      const batch = Array.from({ length: 10 }, (_, index) => http.get(paths[(asked + index) % 8] ?? '', from(address)));
      for (const { status } of await Promise.all(batch)) statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    expect(statuses.get(429)).to.equal(10);
    const refused = await http.get('/form.js', from(address));
    expect([refused.status, refused.headers.get('ratelimit-policy')]).to.deep.equal([429, '"pages";q=600;w=60']);
    const guess = { ...from(address), Authorization: 'Bearer a-token-for-the-tests' };
    expect((await http.get('/metrics', guess)).status, 'even a right one').to.equal(429);
    expect((await post(address)).status).to.equal(201);
    expect((await http.get('/form.js', from(someAddress()))).status).to.equal(200);
  });

  it('treat a whole IPv6 /64 as one client', async () => {
    const statuses = [];
    for (let i = 1; i <= 4; i++) statuses.push((await post(`2001:db8:0:7:${i}::${i}`)).status);
    expect(statuses).to.deep.equal([201, 201, 201, 429]);
    expect((await post('2001:db8:0:8::1')).status).to.equal(201);
  });

  it('count requests of the networks that one customer may own, more for wider ones', async () => {
    const networks: [allowed: number, inside: (n: number) => string, beside: string][] = [
      [60, (n) => `2001:db8:1:${(0x1100 + n).toString(16)}::1`, '2001:db8:1:1200::1'],
      [120, (n) => `2001:db8:2:${(n << 8).toString(16)}::1`, '2001:db8:3::1'],
      [120, (n) => `198.51.77.${n}`, '198.51.78.1'],
    ];
    const ask = async (address: string) => await http.send('/api/messages', { method: 'POST', headers: from(address) });
    for (const [allowed, inside, beside] of networks) {
      for (let n = 0; n < allowed; n++) expect((await ask(inside(n))).status, inside(n)).to.equal(415);
      const refused = await ask(inside(allowed));
      expect(refused.status, inside(allowed)).to.equal(429);
      expect(refused.headers.get('ratelimit-policy')).to.equal(`"requests";q=${allowed};w=3600`);
      expect(refused.headers.get('ratelimit')).to.match(/^"requests";r=0;t=\d+$/);
      expect((await ask(beside)).status, beside).to.equal(415);
    }
  });

  it('cannot be bypassed by a forged X-Forwarded-For', async () => {
    const address = someAddress();
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push((await post(`198.51.100.${i}, ${address}`)).status);
    expect(statuses).to.deep.equal([201, 201, 201, 429]);
  });

  it('are reported in whole numbers, in draft and common headers', async () => {
    const answer = await post(someAddress());
    const { headers } = answer;
    expect(headers.get('ratelimit-policy')).to.equal('"posts";q=3;w=3600');
    expect(headers.get('ratelimit')).to.match(/^"posts";r=2;t=3[56]\d\d$/);
    expect(headers.get('x-ratelimit-limit')).to.equal('3');
    expect(headers.get('x-ratelimit-remaining')).to.equal('2');
    const reset = headers.get('x-ratelimit-reset') ?? '';
    expect(reset).to.match(/^\d+$/);
    expect(Number(reset)).to.be.greaterThan(Date.now() / 1000);
    expect(headers.get('retry-after')).to.equal(null);
  });

  it('reject with problem details that a page can read, and Retry-After', async () => {
    const address = someAddress();
    for (let i = 0; i < 3; i++) await post(address);
    const answer = await post(address);
    expect(answer.status).to.equal(429);
    expect(answer.json.code).to.equal('rate-limited');
    expect(answer.json.detail).to.match(/^too many messages came from your address; please try again in \d+ minutes$/);
    expect(answer.headers.get('retry-after')).to.match(/^3[56]\d\d$/);
    expect(answer.headers.get('ratelimit')).to.match(/^"posts";r=0;t=\d+$/);
    expect(answer.headers.get('access-control-allow-origin')).to.equal(page);
    expect(answer.headers.get('access-control-expose-headers')).to.include('RateLimit').and.include('Retry-After');
    expect(answer.headers.get('content-security-policy')).to.include("default-src 'none'");
    const formspree = await post(address, submission(), '/f/contact');
    expect(formspree.json.errors[0].message).to.match(/^Too many requests.* in \d+ minutes\.$/);
    expect((await post(address, submission(), '/api/message/')).json.detail).to.match(/^Too many messages/);
  });

  it('reject a browser with a page', async () => {
    const address = someAddress();
    for (let i = 0; i < 3; i++) await post(address);
    const send = (client: string, body: string) =>
      http.send('/api/messages', {
        method: 'POST',
        headers: {
          ...from(client),
          Accept: browserAccept,
          'Content-Type': 'application/x-www-form-urlencoded;charset=UTF-8',
        },
        body,
      });
    const refused = await send(address, 'email=ada@example.test&message=What+I+typed');
    expect(refused.status).to.equal(429);
    expect(refused.text).to.include('Too many requests').and.include('please try again in');
    expect(refused.text, 'which keeps what was typed').to.include('name="message" value="What I typed"');
    expect(refused.text).to.include('action="/api/messages"').and.include('Try again');
    for (const body of ['x'.repeat(70_000), 'a=%FF', 'a=x&'.repeat(16_000)]) {
      const { status, text } = await send(address, body);
      expect(status, 'what cannot be kept').to.equal(429);
      expect(text).to.not.include('<input');
    }
  });

  it('give pages of other origins no button that would post with one click', async () => {
    const address = someAddress();
    for (let i = 0; i < 3; i++) await post(address);
    for (const origin of ['https://evil.example.test', 'null']) {
      const refused = await http.send('/api/messages', {
        method: 'POST',
        headers: { ...from(address), Origin: origin, Accept: browserAccept },
        body: new URLSearchParams({ email: 'ada@example.test', message: 'What I typed' }),
      });
      expect(refused.status).to.equal(429);
      expect(refused.text).to.include('please try again in').and.include('<dd>What I typed</dd>');
      expect(refused.text).to.not.include('<form').and.not.include('<button');
    }
  });

  it('allow ten requests per post, and reject more of them unread', async () => {
    const address = someAddress();
    for (let i = 0; i < 30; i++) expect((await post(address, '{')).status).to.equal(400);
    const answer = await post(address, 'x'.repeat(70_000));
    expect(answer.status).to.equal(429);
    expect(answer.headers.get('ratelimit-policy')).to.equal('"requests";q=30;w=3600');
    expect(answer.headers.get('ratelimit')).to.match(/^"requests";r=0;t=\d+$/);
    expect(answer.headers.get('retry-after')).to.match(/^[1-9]\d*$/);
  });

  it('count captcha challenges as requests, since each costs work', async () => {
    const address = someAddress();
    for (let i = 0; i < 30; i++) expect((await http.get('/api/captcha', from(address))).status).to.not.equal(429);
    expect((await http.get('/api/captcha', from(address))).status).to.equal(429);
    expect((await post(address)).status).to.equal(429);
  });

  it('do not count pages, probes and preflights', async () => {
    const address = someAddress();
    for (let i = 0; i < 40; i++) await http.get('/thanks', from(address));
    for (let i = 0; i < 40; i++) {
      await http.send('/api/messages', {
        method: 'OPTIONS',
        headers: { ...from(address), 'Access-Control-Request-Method': 'POST' },
      });
    }
    expect((await post(address)).status).to.equal(201);
  });
});
