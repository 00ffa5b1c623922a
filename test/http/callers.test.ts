import { expect } from 'chai';
import { showMessage } from '../../src/services/messages/messages.ts';
import { openScope } from '../../src/services/scope.ts';
import { type Answer, browserAccept, type Client, clientOf, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import type { Settings } from '../support/program.ts';
import { type ServerHere, startServerHere } from '../support/server-here.ts';
import { until } from '../support/until.ts';
import { exchange, rawPost } from '../support/wire.ts';

const site = 'https://site.example.test';

describe('who may call', () => {
  let db: TestDatabase;
  let server: ServerHere;
  let http: Client;
  /** A second server on the same database, started without any settings. */
  let plainServer: ServerHere;
  let plain: Client;

  const start = (settings: Settings) => startServerHere({ DATABASE_URL: db.url, ...settings });

  before(async () => {
    db = await createDatabase();
    [server, plainServer] = await Promise.all([
      start({
        PUBLIC_URL: 'https://forms.example.test/base',
        ALLOWED_ORIGINS: `${site}, http://other.example.test:8080, capacitor://localhost`,
        TRUST_PROXY: '1',
      }),
      start({}),
    ]);
    http = clientOf(server.url);
    plain = clientOf(plainServer.url);
    await db.query(`insert into forms (id, slug, origins) values
      (gen_random_uuid(), 'own', '{https://own.example.test}'), (gen_random_uuid(), 'none', '{}')`);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await plainServer[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  describe('by origin', () => {
    const preflight = (path: string, origin: string, headers = 'content-type,idempotency-key', method = 'POST') =>
      http.send(path, {
        method: 'OPTIONS',
        headers: {
          Origin: origin,
          'Access-Control-Request-Method': method,
          'Access-Control-Request-Headers': headers,
        },
      });
    /** The line that the server logs for a response. */
    const loggedFor = async ({ headers }: Answer) => {
      const id = headers.get('x-request-id') ?? '';
      const lines = await until('the answer is logged', () => {
        const found = server.log.split('\n').filter((it) => it.includes(id));
        return found.length > 0 && found;
      });
      expect(lines).to.have.lengthOf(1);
      return JSON.parse(lines[0] ?? '');
    };

    for (const origin of [
      site,
      'http://other.example.test:8080',
      'https://forms.example.test',
      'capacitor://localhost',
    ]) {
      it(`${origin} may post and read the answer`, async () => {
        const asked = await preflight('/api/messages', origin);
        expect(asked.status).to.equal(204);
        expect(asked.headers.get('access-control-allow-origin')).to.equal(origin);
        expect(asked.headers.get('access-control-allow-methods')).to.equal('GET,HEAD,POST');
        expect(asked.headers.get('access-control-allow-headers')).to.equal('content-type,idempotency-key');
        expect(asked.headers.get('access-control-max-age')).to.equal('600');
        expect(asked.headers.get('vary')).to.equal('Origin, Access-Control-Request-Headers');

        const answer = await http.post('/api/messages', submission(), { Origin: origin });
        expect(answer.status).to.equal(201);
        expect(answer.headers.get('access-control-allow-origin')).to.equal(origin);
        expect(answer.headers.get('access-control-allow-credentials')).to.equal(null);
        expect(await db.count('messages')).to.equal(1);
      });
    }

    for (const origin of [
      'null',
      'https://evil.example.test',
      'http://site.example.test',
      'https://site.example.test:444',
      'https://site.example.test.evil.test',
      'https://evilsite.example.test',
      'https://SITE.example.test',
      `${site}/`,
      `${site}, https://evil.example.test`,
      'http://localhost:5173',
      'file://',
      'capacitor://localhost.evil.test',
      'ionic://localhost',
    ]) {
      it(`${origin} may not: 403, nothing stored, and nothing its page can read`, async () => {
        const asked = await preflight('/api/messages', origin);
        expect(asked.status).to.equal(403);
        expect([...asked.headers.keys()].filter((it) => it.startsWith('access-control-'))).to.deep.equal([]);
        for (const path of [
          '/api/messages',
          '/api/forms/contact/messages',
          '/f/contact',
          '/api/sender/',
          '/api/message/',
        ]) {
          const answer = await http.post(path, submission(), { Origin: origin });
          expect(answer.status, path).to.equal(403);
          expect(answer.headers.get('access-control-allow-origin')).to.equal(null);
        }
        expect((await http.post('/api/messages', submission(), { Origin: origin })).json.code).to.equal(
          'origin-refused',
        );
        expect(await db.count('messages')).to.equal(0);
      });
    }

    it('null gets advice about Referrer-Policy, and the log names the origin', async () => {
      const refusedFrom = async (origin: string) => {
        const answer = await http.post('/api/messages', submission(), { Origin: origin });
        return { detail: answer.json.detail as string, logged: (await loggedFor(answer)).origin };
      };
      expect(await refusedFrom('null')).to.deep.equal({
        detail: "the page's Referrer-Policy hides its address; use strict-origin-when-cross-origin, or form.js",
        logged: 'null',
      });
      const other = 'pages of this origin may not post to this form';
      for (const origin of ['https://evil.example.test:8443', 'http://[::2]:80', 'tauri://localhost'])
        expect(await refusedFrom(origin)).to.deep.equal({ detail: other, logged: origin });
      for (const origin of ['ada@example.test', 'https://evil.test/path?q=1', `https://${'x'.repeat(300)}.test`, ''])
        expect(await refusedFrom(origin), origin).to.deep.equal({ detail: other, logged: '-' });
      await http.post('/api/messages', {}, { Origin: site });
      expect(server.log.split('\n').filter((it) => it.includes(`"origin":"${site}"`))).to.deep.equal([]);
    });

    it('an allowed origin may send any header except credentials', async () => {
      const allowed = async (headers: string) =>
        (await preflight('/f/contact', site, headers)).headers.get('access-control-allow-headers');
      for (const headers of [
        'sentry-trace,baggage',
        'content-type,traceparent,tracestate',
        'x-requested-with',
        'hx-current-url,hx-request,hx-target',
        'accept,content-type,formspree-client,formspree-session-data,idempotency-key',
        'constructor,__proto__',
      ]) {
        expect(await allowed(headers)).to.equal(headers);
      }
      expect(await allowed(' Baggage , ,Sentry-Trace,')).to.equal('baggage,sentry-trace');
      expect(await allowed('authorization')).to.equal(null);
      expect(await allowed('baggage,Authorization,cookie,cookie2')).to.equal('baggage');
      expect(await allowed('baggage,two words,\xe9,a:b')).to.equal('baggage');
      expect(await allowed(Array(1000).fill('x').join(',')), '1,999 characters').to.equal(
        Array(1000).fill('x').join(','),
      );
      expect(await allowed(Array(5000).fill('x').join(','))).to.equal(null);
      const post = await http.send('/f/contact', {
        method: 'OPTIONS',
        headers: { Origin: site, 'Access-Control-Request-Method': 'POST' },
      });
      expect([post.status, post.headers.get('access-control-allow-headers')]).to.deep.equal([204, null]);
    });

    it('logs a rejected preflight with origin, route and requested method', async () => {
      const logged = async (...asked: Parameters<typeof preflight>) => {
        const { method, route, status, problem, origin, refused } = await loggedFor(await preflight(...asked));
        return { method, route, status, problem, origin, refused };
      };
      const line = { method: 'OPTIONS', route: '/f/:slug', status: 204, problem: undefined, origin: site };
      expect(await logged('/f/contact', site, 'baggage,authorization,cookie')).to.deep.equal({
        ...line,
        refused: ['authorization', 'cookie'],
      });
      expect(await logged('/api/messages/1', site, 'content-type', 'DELETE')).to.deep.equal({
        ...line,
        route: '/api/messages/:id',
        refused: ['DELETE'],
      });
      expect(await logged('/f/ada@example.test', site, 'ada@example.test', 'ada@example.test')).to.deep.equal({
        ...line,
        refused: ['-'],
      });
      expect((await logged('/f/contact', site, 'x,'.repeat(4000))).refused).to.deep.equal(['too many headers']);
      const foreign = { ...line, status: 403, problem: 'origin-refused', refused: undefined };
      for (const origin of ['https://evil.example.test', 'null'])
        expect(await logged('/f/contact', origin)).to.deep.equal({ ...foreign, origin });
      expect(await logged('/nowhere/ada@example.test', 'ada@example.test')).to.deep.equal({
        ...foreign,
        route: '-',
        origin: '-',
      });
      expect(await logged('/f/contact', site, 'baggage')).to.deep.equal({
        ...line,
        origin: undefined,
        refused: undefined,
      });
    });

    it('may not; a browser gets a page with its text, and no way around it', async () => {
      const page = async (origin: string) =>
        await http.send('/f/contact', {
          method: 'POST',
          headers: { Accept: browserAccept, Origin: origin },
          body: new URLSearchParams([
            ['email', 'ada@example.test'],
            ['message', 'What I <typed>\nin two lines'],
            ['colour', 'red'],
            ['colour', 'blue'],
            ['_gotcha', 'secret'],
            ['cf-turnstile-response', 'secret'],
          ]),
        });
      for (const [origin, told] of [
        ['null', 'Referrer-Policy hides its address; use strict-origin-when-cross-origin, or form.js.'],
        ['https://evil.example.test', 'Pages of this origin may not post to this form.'],
      ] as const) {
        const { status, text } = await page(origin);
        expect(status).to.equal(403);
        expect(text).to.include('What I &lt;typed&gt;\nin two lines').and.include('red, blue').and.include(told);
        expect(text).to.not.match(/<form|<button|secret/);
      }
      expect(await db.count('messages')).to.equal(0);
    });

    it('is accepted without an Origin header, as programs post', async () => {
      expect((await http.post('/api/messages', submission())).status).to.equal(201);
    });

    it('may read errors too: 400, 404, 413, 415 and 422', async () => {
      const answers = [
        await http.post('/api/messages', '{', { Origin: site }),
        await http.post('/api/forms/nowhere/messages', submission(), { Origin: site }),
        await http.post('/api/messages', 'x'.repeat(70_000), { Origin: site }),
        await http.post('/api/messages', 'x', { Origin: site, 'Content-Type': 'text/plain' }),
        await http.post('/api/messages', {}, { Origin: site }),
      ];
      expect(answers.map((it) => it.status)).to.deep.equal([400, 404, 413, 415, 422]);
      for (const { headers } of answers) {
        expect(headers.get('access-control-allow-origin')).to.equal(site);
        expect(headers.get('access-control-expose-headers')).to.include('Retry-After').and.include('X-Request-Id');
      }
    });

    it('a form with its own origins accepts those and our own pages only', async () => {
      await until('the own origin of a form may read', async () => {
        const asked = await preflight('/api/forms/own/messages', 'https://own.example.test');
        return asked.headers.get('access-control-allow-origin') === 'https://own.example.test';
      });
      const post = async (slug: string, origin: string) =>
        (await http.post(`/api/forms/${slug}/messages`, submission({ message: `From ${origin}` }), { Origin: origin }))
          .status;
      expect(await post('own', 'https://own.example.test')).to.equal(201);
      expect(await post('own', 'https://forms.example.test')).to.equal(201);
      expect(await post('own', site)).to.equal(403);
      expect(await post('contact', 'https://own.example.test')).to.equal(403);
      expect(await post('none', site), 'an empty list means as the environment says').to.equal(201);
      expect(await db.count('messages')).to.equal(3);
    });

    it('without ALLOWED_ORIGINS may be any on this machine, and no others', async () => {
      for (const origin of ['http://localhost:5173', 'http://127.0.0.1:8080', 'https://localhost', 'http://[::1]:1']) {
        expect((await plain.post('/api/messages', submission(), { Origin: origin })).status, origin).to.equal(201);
      }
      for (const origin of [
        'http://localhost.evil.test',
        'http://127.0.0.1.evil.test',
        'http://10.0.0.1',
        'null',
        site,
      ]) {
        expect((await plain.post('/api/messages', submission(), { Origin: origin })).status, origin).to.equal(403);
      }
    });
  });

  describe('by the requested host name', () => {
    const ask = (host: string, path = '/', target = path) =>
      exchange(server.url, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);

    for (const host of [
      'forms.example.test',
      'FORMS.example.test:8443',
      'forms.example.test.',
      'localhost:1',
      '127.0.0.1',
      '[::1]:3000',
    ]) {
      it(`${host} is answered`, async () => {
        expect(await ask(host)).to.match(/^HTTP\/1\.1 200 /);
      });
    }

    for (const host of [
      'evil.test',
      'forms.example.test.evil.test',
      'evil.test:x@forms.example.test',
      'forms.example.test@evil.test',
      '',
      '10.0.0.1',
      '[::2]',
    ]) {
      it(`"${host}" is rejected: 421, every header, and no echo of the name`, async () => {
        const answer = await ask(host);
        expect(answer)
          .to.match(/^HTTP\/1\.1 421 /)
          .and.include('"code":"host-unknown"');
        expect(answer).to.include('X-Content-Type-Options: nosniff').and.not.include('evil');
        expect(await ask(host, '/livez')).to.match(/^HTTP\/1\.1 200 /);
        expect(await ask(host, '/readyz')).to.match(/^HTTP\/1\.1 200 /);
      });
    }

    it('applies to an absolute URL in the request line, too', async () => {
      expect(await ask('localhost', '/', 'http://evil.test/')).to.match(/^HTTP\/1\.1 421 /);
      expect(await ask('evil.test', '/', 'http://localhost/')).to.match(/^HTTP\/1\.1 421 /);
      expect(await ask('localhost', '/', 'http://localhost:3000/')).to.match(/^HTTP\/1\.1 200 /);
    });

    for (const second of ['evil.test', 'forms.example.test']) {
      it(`"${second}" as a second Host: 400, on every path`, async () => {
        for (const path of ['/', '/livez']) {
          const answer = await ask(`forms.example.test\r\nhOsT: ${second}`, path);
          expect(answer, path)
            .to.match(/^HTTP\/1\.1 400 /)
            .and.include('"code":"host-repeated"');
        }
      });
    }

    it('never appears in a link: all links are under PUBLIC_URL', async () => {
      const headers = {
        Accept: browserAccept,
        Host: 'localhost',
        'X-Forwarded-Host': 'evil.test',
        'X-Forwarded-Proto': 'gopher',
        Forwarded: 'host=evil.test',
        'Content-Type': 'application/x-www-form-urlencoded',
      };
      const body = 'email=ada@example.test&message=x';
      const redirect = await exchange(server.url, rawPost('/api/messages', body, headers, { lastOnConnection: true }));
      expect(redirect)
        .to.match(/\r\nLocation: \/base\/thanks\?receipt=/)
        .and.not.match(/evil|gopher/);
      const json = await exchange(
        server.url,
        rawPost('/f/contact', body, { ...headers, Accept: 'application/json' }, { lastOnConnection: true }),
      );
      expect(json)
        .to.include('"next":"https://forms.example.test/base/thanks')
        .and.not.match(/evil|gopher/);
    });
  });

  describe('by client address', () => {
    async function storedAddress(client: Client, forwarded?: string): Promise<string | null> {
      const answer = await client.post(
        '/api/messages',
        submission({ message: `From ${forwarded}` }),
        forwarded ? { 'X-Forwarded-For': forwarded } : {},
      );
      await using context = await openTestContext(db);
      return (await showMessage(openScope(context), answer.json.id)).clientAddress;
    }

    it("is taken from the proxy, never from the client's own header", async () => {
      expect(await storedAddress(http, '198.51.100.1, 203.0.113.7')).to.equal('203.0.113.0/24');
      expect(await storedAddress(http)).to.equal('127.0.0.0/24');
    });

    it("is the connection's address if no proxy is trusted", async () => {
      expect(await storedAddress(plain, '203.0.113.7')).to.equal('127.0.0.0/24');
    });

    it('warns once about a TRUST_PROXY that a post contradicts', async () => {
      const warningsAfter = async (proxies: number, headers: (string | undefined)[]) => {
        await using own = await start({ TRUST_PROXY: String(proxies) });
        const client = clientOf(own.url);
        await client.get('/livez', { 'X-Forwarded-For': '203.0.113.7' });
        for (const it of headers) await storedAddress(client, it);
        return own.log.split('\n').filter((it) => it.includes('TRUST_PROXY'));
      };
      expect(await warningsAfter(0, [undefined])).to.deep.equal([]);
      expect(await warningsAfter(1, ['203.0.113.7'])).to.deep.equal([]);
      const [behind, ...others] = await warningsAfter(0, ['203.0.113.7', '203.0.113.8']);
      expect(behind).to.include('TRUST_PROXY is 0').and.include('"level":"warn"').and.not.include('203.0.113');
      expect(others).to.deep.equal([]);
      const [fewer] = await warningsAfter(2, ['203.0.113.7']);
      expect(fewer).to.include('X-Forwarded-For entries: 1, but TRUST_PROXY is 2');
    });
  });
});
