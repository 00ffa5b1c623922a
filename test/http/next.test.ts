import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { createApp } from '../../src/server/app.ts';
import { openPages } from '../../src/server/pages/pages.ts';
import { openIntake } from '../../src/services/intake/intake.ts';
import { type Answer, browserAccept, type Client, clientOf } from '../support/api.ts';
import { openTestMailing, recordStatements } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi } from '../support/server-here.ts';

describe('_next', () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;

  before(async () => {
    api = await openApi({
      PUBLIC_URL: 'https://forms.example.test/base',
      ALLOWED_ORIGINS: 'https://site.example.test, http://plain.example.test:8080, https://bücher.example.test',
    });
    ({ db, http } = api);
    await db.query(
      `insert into forms (id, slug, origins) values (gen_random_uuid(), 'own', '{https://own.example.test}')`,
    );
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  const post = (fields: Record<string, string>, path = '/api/messages'): Promise<Answer> =>
    http.send(path, {
      method: 'POST',
      headers: { Accept: browserAccept },
      body: new URLSearchParams({ email: 'ada@example.test', message: 'Hello', ...fields }),
    });

  for (const [given, location] of [
    ['https://site.example.test/danke?x=1#top', 'https://site.example.test/danke?x=1#top'],
    ['https://site.example.test', 'https://site.example.test/'],
    ['  https://site.example.test:443/a b ', 'https://site.example.test/a%20b'],
    ['//site.example.test/x', 'https://site.example.test/x'],
    ['http://plain.example.test:8080/', 'http://plain.example.test:8080/'],
    ['https://bücher.example.test/', 'https://xn--bcher-kva.example.test/'],
    ['/danke', 'https://forms.example.test/danke'],
    ['https:danke', 'https://forms.example.test/danke'],
    ['https://site.example.test/%0d%0aSet-Cookie:%20a=b', 'https://site.example.test/%0d%0aSet-Cookie:%20a=b'],
    ['https://site.example.test/\r\nSet-Cookie: a=b', 'https://site.example.test/Set-Cookie:%20a=b'],
  ] as const) {
    it(`${JSON.stringify(given)} redirects to ${location} once the message is stored`, async () => {
      const answer = await post({ _next: given });
      expect(answer.status).to.equal(303);
      expect(answer.headers.get('location')).to.equal(location);
      expect(answer.headers.get('set-cookie')).to.equal(null);
      expect(await db.count('messages')).to.equal(1);
    });
  }

  for (const given of [
    'https://evil.test/',
    '//evil.test',
    '///evil.test',
    '/\\evil.test',
    '\\\\evil.test',
    '/\t/evil.test',
    '\u0000//evil.test',
    'https:/\\evil.test',
    'http:evil.test',
    'https:///evil.test',
    'javascript:alert(1)',
    'JaVaScRiPt://site.example.test/%0aalert(1)',
    'data:text/html,<script>alert(1)</script>',
    'blob:https://site.example.test/0b1c',
    'file:///etc/passwd',
    'ftp://site.example.test/',
    'mailto:ada@example.test',
    'http://site.example.test/',
    'https://site.example.test:444/',
    'https://site.example.test@evil.test/',
    'https://site.example.test:x@evil.test/',
    'https://user:password@site.example.test/',
    'https://user@site.example.test/',
    'https://site.example.test.evil.test/',
    'https://site.example.test。evil.test/',
    'https://site.example.test%2f@evil.test/',
    'https://evil.test#https://site.example.test',
    'https://evil.test\\@site.example.test',
    'https://own.example.test/',
    'https://[::1]/',
    'https://2130706433/',
    `https://site.example.test/${'x'.repeat(2000)}`,
    '   ',
  ]) {
    it(`${JSON.stringify(given).slice(0, 60)} leads to our own thank-you page after storing`, async () => {
      const answer = await post({ _next: given });
      expect(answer.status).to.equal(303);
      expect(answer.headers.get('location')).to.match(/^\/base\/thanks\?receipt=RW-[0-9A-Z]{10}$/);
      expect(await db.count('messages')).to.equal(1);
    });
  }

  it('given twice, or not as text, leads to our own thank-you page', async () => {
    const body = new URLSearchParams('email=a@example.test&message=x&_next=https://site.example.test&_next=/x');
    const answer = await http.send('/api/messages', { method: 'POST', headers: { Accept: browserAccept }, body });
    expect(answer.headers.get('location')).to.match(/^\/base\/thanks/);
    const json = await http.post(
      '/f/contact',
      { email: 'a@example.test', message: 'x', _next: { toString: 'https://site.example.test' } },
      { Accept: 'application/json' },
    );
    expect(json.json.next).to.match(/^https:\/\/forms\.example\.test\/base\/thanks/);
  });

  it('may be called _redirect; a field called redirect is ordinary', async () => {
    const site = 'https://site.example.test';
    const locationOf = async (fields: Record<string, string>) => (await post(fields)).headers.get('location');
    expect(await locationOf({ _redirect: `${site}/a` })).to.equal(`${site}/a`);
    expect(await locationOf({ _redirect: `${site}/a`, _next: `${site}/b` })).to.equal(`${site}/b`);
    expect(await locationOf({ _redirect: `${site}/a`, _next: '' })).to.equal(`${site}/a`);
    expect(await locationOf({ _redirect: 'https://evil.test/' })).to.match(/^\/base\/thanks/);
    expect(await locationOf({ redirect: `${site}/a` })).to.match(/^\/base\/thanks/);
    const told = await http.post('/f/contact', { email: 'a@example.test', message: 'y', _redirect: `${site}/a` });
    expect(told.json.next).to.equal(`${site}/a`);
  });

  it('may also name an origin of the form or of ALLOWED_ORIGINS', async () => {
    const path = '/api/forms/own/messages';
    const own = await post({ _next: 'https://own.example.test/danke' }, path);
    expect(own.headers.get('location')).to.equal('https://own.example.test/danke');
    const environment = await post({ _next: 'https://site.example.test/' }, path);
    expect(environment.headers.get('location')).to.equal('https://site.example.test/');
  });

  it('redirects nobody after a rejection; the correction page may keep it', async () => {
    const refused = await post({ email: 'ada@', _next: 'https://site.example.test/danke' });
    expect(refused.status).to.equal(422);
    expect(refused.headers.get('location')).to.equal(null);
    expect(refused.text)
      .to.include('action="/base/api/messages"')
      .and.include('value="https://site.example.test/danke"');
    expect(refused.headers.get('content-security-policy')).to.include("form-action 'self' https://site.example.test;");
    const evil = await post({ email: 'ada@', _next: 'https://evil.test/' });
    expect(evil.headers.get('content-security-policy')).to.include("form-action 'self';");
    expect(await db.count('messages')).to.equal(0);
  });

  it('changes nothing for programs, which get no redirect', async () => {
    const answer = await http.post('/api/messages', {
      email: 'ada@example.test',
      message: 'x',
      _next: 'https://site.example.test/',
    });
    expect(answer.status).to.equal(201);
    expect(answer.headers.get('location')).to.equal(null);
    expect(answer.json).to.have.all.keys('id', 'receipt', 'receivedAt');
  });

  it('reads the form from the database once, for the redirect', async () => {
    await using context = await openTestMailing(db, { PUBLIC_URL: 'http://localhost:3000' });
    await using intake = openIntake(context);
    const app = createApp(context, openPages(context.config), { stopping: false }, intake);
    const server = createServer(app.callback());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const here = clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      const postHere = (message: string) =>
        here.send('/api/forms/own/messages', {
          method: 'POST',
          headers: { Accept: browserAccept },
          body: new URLSearchParams({ email: 'ada@example.test', message, _next: 'https://own.example.test/danke' }),
        });
      // The first post also fills the intake's memory of forms.
      expect((await postHere('first')).status).to.equal(303);
      const statements = await recordStatements(context);
      expect((await postHere('second')).headers.get('location')).to.equal('https://own.example.test/danke');
      expect(statements.filter((it) => /^select .* from "forms"/.test(it))).to.have.lengthOf(1);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
