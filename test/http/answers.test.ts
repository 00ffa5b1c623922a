import { connect } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { expect } from 'chai';
import { browserAccept, type Client, submission } from '../support/api.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi, type ServerHere } from '../support/server-here.ts';

describe('server', () => {
  let api: Api;
  let db: TestDatabase;
  let server: ServerHere;
  let http: Client;

  before(async () => {
    api = await openApi({ PUBLIC_URL: 'https://forms.example.test/base/' });
    ({ db, server, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });

  it('reports that it is alive and ready', async () => {
    expect((await http.get('/livez')).json).to.deep.equal({ status: 'ok' });
    const ready = await http.get('/readyz');
    expect(ready.status).to.equal(200);
    expect(ready.json).to.deep.equal({
      status: 'ok',
      checks: { database: 'ok', oldestDueSeconds: 0, oldestQueuedSeconds: 0, queue: 'ok', schema: 'ok' },
    });
  });

  it('is not ready if the schema is behind', async () => {
    const rows = await db.query<{ name: string }>('delete from schema_migrations returning name');
    try {
      const ready = await http.get('/readyz');
      expect(ready.status).to.equal(503);
      expect(ready.headers.get('retry-after')).to.equal('5');
      expect(ready.json.checks.schema).to.equal('unfit');
    } finally {
      for (const row of rows) await db.query('insert into schema_migrations (name) values ($1)', [row.name]);
    }
  });

  it('shows a landing page with form and links under the public address', async () => {
    const page = await http.get('/', { Accept: browserAccept });
    expect(page.status).to.equal(200);
    expect(page.text).to.include('action="/base/api/messages"').and.include('href="/base/style.css"');
    expect(page.text).to.include('https://forms.example.test/base/api/messages');
    expect((await http.get('/style.css')).headers.get('content-type')).to.equal('text/css; charset=utf-8');
  });

  it('answers 404 with a page to browsers and problem details to programs', async () => {
    const page = await http.get('/nowhere', { Accept: browserAccept });
    expect([page.status, page.headers.get('content-type')]).to.deep.equal([404, 'text/html; charset=utf-8']);
    expect(page.text).to.include('Nothing here');
    const problem = await http.get('/nowhere');
    expect(problem.status).to.equal(404);
    expect(problem.json.code).to.equal('route-unknown');
  });

  it('answers wrong methods with 405 and Allow, OPTIONS with Allow, and HEAD', async () => {
    for (const [path, allow] of [
      ['/api/forms/contact/messages', 'POST'],
      ['/f/contact', 'POST'],
      ['/api/sender/', 'POST'],
      ['/api/message/', 'POST'],
      ['/api/send-email', 'POST'],
      ['/', 'HEAD, GET'],
      ['/thanks', 'HEAD, GET'],
      ['/livez', 'HEAD, GET'],
      ['/readyz', 'HEAD, GET'],
    ] as const) {
      for (const method of ['DELETE', 'PUT', 'PATCH', 'PROPFIND', allow === 'POST' ? 'GET' : 'POST']) {
        const answer = await http.send(path, { method });
        expect([answer.status, answer.headers.get('allow')], `${method} ${path}`).to.deep.equal([405, allow]);
      }
      const asked = await http.send(path, { method: 'OPTIONS' });
      expect([asked.status, asked.headers.get('allow'), asked.text], path).to.deep.equal([200, allow, '']);
      const head = await http.send(path, { method: 'HEAD' });
      expect([head.status, head.text], path).to.deep.equal([allow === 'POST' ? 405 : 200, '']);
    }
    const answer = await http.send('/api/messages', { method: 'DELETE' });
    expect(answer.json.code).to.equal('method-not-allowed');
    for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      expect((await http.send('/nowhere', { method })).status, method).to.equal(404);
    }
  });

  it('answers addresses that cannot be decoded with 404', async () => {
    for (const path of [
      '/%ff',
      '/%00',
      '/f/%ff',
      '/f/%00',
      '/api/forms/%E0%A4%A/messages',
      '/f/..%2f..%2fetc',
      '/f/__proto__',
    ]) {
      const answer = await http.post(path, submission());
      expect(answer.status, path).to.equal(404);
    }
  });

  it('answers an unexpected error with a page or problem, without details', async () => {
    await db.query('alter table forms rename column slug to slug_away');
    try {
      const problem = await http.post('/api/messages', submission());
      expect(problem.status).to.equal(500);
      expect(problem.json).to.include({ code: 'unexpected', detail: 'the fault is ours and was logged' });
      expect(server.log).to.include(problem.json.requestId).and.include('42703');
      const page = await http.send('/api/messages', {
        method: 'POST',
        headers: { Accept: browserAccept },
        body: new URLSearchParams({ email: 'ada@example.test', message: 'x' }),
      });
      expect(page.status).to.equal(500);
      expect(page.text)
        .to.include('That did not work')
        .and.include(page.headers.get('x-request-id') ?? '?');
      expect(page.text + problem.text).to.not.match(/column|forms|select/i);
    } finally {
      await db.query('alter table forms rename column slug_away to slug');
    }
  });

  it("tells PostgreSQL's protocol error (08P01) from an outage", async () => {
    await db.query(`create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'invalid message format' using errcode = '08P01'; end $$`);
    await db.query('create trigger refuse before insert on messages execute function refuse()');
    try {
      const answer = await http.post('/api/messages', submission());
      expect([answer.status, answer.json.code]).to.deep.equal([500, 'unexpected']);
    } finally {
      await db.query('drop function refuse cascade');
    }
  });

  it('sends security headers on every answer, even to malformed requests', async () => {
    const answers = [
      await http.get('/livez'),
      await http.get('/', { Accept: browserAccept }),
      await http.get('/nowhere'),
      await http.send('/api/messages', { method: 'OPTIONS' }),
      await http.send('/api/messages', { method: 'DELETE' }),
      await http.post('/api/messages', '{'),
      await http.post('/api/messages', 'x'.repeat(70_000)),
    ];
    for (const { headers, status } of answers) {
      expect(headers.get('content-security-policy'), `${status}`)
        .to.include("default-src 'none'")
        .and.include("frame-ancestors 'none'");
      expect(headers.get('x-content-type-options')).to.equal('nosniff');
      expect(headers.get('strict-transport-security')).to.equal('max-age=31536000');
      expect(headers.get('cache-control')).to.equal(status === 200 && headers.has('etag') ? 'no-cache' : 'no-store');
    }
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.end('this is no HTTP\r\n\r\n');
    const raw = await readText(socket);
    expect(raw).to.match(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(raw).to.include('X-Content-Type-Options: nosniff').and.include("default-src 'none'");
  });
});
