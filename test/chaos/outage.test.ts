import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { browserAccept, type Client, clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, temporaryFolder } from '../support/program.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

describe('while the database is away', () => {
  let db: TestDatabase;
  let proxy: TcpProxy;
  let server: RunningServer;
  let http: Client;

  before(async () => {
    db = await createDatabase();
    proxy = await TcpProxy.before(db.url);
    server = await RunningServer.start({ DATABASE_URL: proxy.urlOf(db.url) });
    http = clientOf(server.url);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    expect((await http.post('/api/messages', submission())).status).to.equal(201);
  });
  afterEach(async () => {
    proxy.mode = 'pass';
    await until('posts are taken again', async () => (await http.post('/api/messages', submission())).status === 201);
    expect((await http.get('/readyz')).status).to.equal(200);
  });

  for (const mode of ['refuse', 'swallow'] as const) {
    it(`(${mode}) a post gets 503 within five seconds; later ones 201`, async () => {
      const before = await db.count('messages');
      proxy.mode = mode;
      const startedAt = performance.now();

      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, i) =>
          http.post('/api/messages', submission(), i % 2 ? { Origin: 'https://site.example.test' } : {}),
        ),
      );

      // This limit is part of the API contract, not a speed measurement.
      expect(performance.now() - startedAt).to.be.below(5000);
      for (const answer of answers) {
        expect(answer.status).to.equal(503);
        expect(answer.headers.get('retry-after')).to.equal('5');
        expect(answer.json.code).to.equal('database-away');
      }
      expect(await db.count('messages')).to.equal(before);
      expect((await http.get('/readyz')).status).to.equal(503);
      expect((await http.get('/livez')).status).to.equal(200);
    });
  }

  it('a browser gets the page for every 5xx', async () => {
    proxy.mode = 'refuse';
    const page = await http.send('/api/messages', {
      method: 'POST',
      headers: { Accept: browserAccept },
      body: new URLSearchParams({ email: 'ada@example.test', message: 'x' }),
    });
    expect(page.status).to.equal(503);
    expect(page.text).to.include('That did not work').and.include('may not have been stored');
  });

  it('posts are stored after the database closed all connections', async () => {
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name like 'ruffinweb%'`,
      [db.name],
    );
    await until('posts are taken', async () => (await http.post('/api/messages', submission())).status === 201);
  });

  it('a schema change on open connections fails no post', async () => {
    await db.query('alter table emails add column later_feature text');
    await db.query('alter table messages add column later_feature text');
    const answers = await Promise.all(Array.from({ length: 12 }, () => http.post('/api/messages', submission())));
    expect(answers.map((it) => it.status)).to.deep.equal(Array(12).fill(201));
  });

  it('a table locked for long is answered like an outage', async () => {
    const lock = await db.lockTable('senders');
    const startedAt = performance.now();
    const answer = await http.post('/api/messages', submission());
    await lock.release();
    expect(answer.status).to.equal(503);
    expect(performance.now() - startedAt).to.be.below(5000);
  });
});

describe('while the database and its certificate are away', () => {
  it('the server answers, and reconnects once both are back', async () => {
    await using db = await createDatabase();
    await using proxy = await TcpProxy.before(db.url);
    await using folder = await temporaryFolder();
    const certificate = join(folder.path, 'ca.pem');
    // The file is read in every mode, unlike in libpq.
    await writeFile(certificate, '');
    const url = new URL(proxy.urlOf(db.url));
    url.searchParams.set('sslrootcert', certificate);
    await using server = await RunningServer.start({ DATABASE_URL: url.href });
    const http = clientOf(server.url);
    const listens = async () => {
      const [row] = await db.query<{ n: number }>(
        `select count(*)::int as n from pg_stat_activity where datname = $1 and application_name like 'ruffinweb listener%'`,
        [db.name],
      );
      return row?.n === 1;
    };
    await until('it listens', listens);

    await rename(certificate, `${certificate}.new`);
    proxy.mode = 'refuse';
    // The listener retries after a quarter of a second, then after half a second more.
    for (const end = performance.now() + 1500; performance.now() < end; ) {
      expect((await http.post('/api/messages', submission())).status).to.equal(503);
    }
    proxy.mode = 'pass';
    await rename(`${certificate}.new`, certificate);
    await until('it listens again', listens, 20_000);
    await until('posts are taken', async () => (await http.post('/api/messages', submission())).status === 201);
  });
});
