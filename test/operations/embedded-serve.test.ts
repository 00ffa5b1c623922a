import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import pg from 'pg';
import { joinEmbedded } from '../../src/database/embedded/embedded.ts';
import { clientOf, submission } from '../support/api.ts';
import { placeCluster } from '../support/embedded-server.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { until } from '../support/until.ts';

/** Only the data folder is set: a newcomer's state after `npm start`. */
describe('serve without DATABASE_URL', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let settings: Settings;
  let server: RunningServer;

  before(async () => {
    folder = await temporaryFolder();
    settings = { DATA_DIR: folder.path, ENCRYPTION_KEYS: undefined };
    server = await RunningServer.start(settings, ['serve', '--migrate']);
  });
  after(async () => {
    await server.stop();
    await folder[Symbol.asyncDispose]();
  });

  const canary = {
    name: 'Quincunx Namesdottir',
    email: 'quincunx.address@quincunx-domain.test',
    message: 'quincunx text body',
    company: 'quincunx extra',
  };
  const canaries = /quincunx|Namesdottir/i;

  it('writes two mails, is visible in another terminal, and survives kill -9', async () => {
    const answer = await clientOf(server.url).post('/api/messages', submission(canary));
    expect(answer.status).to.equal(201);
    const mails = await until('two mails are written', async () => {
      const names = await readdir(join(folder.path, 'mail')).catch(() => []);
      return names.filter((it) => it.endsWith('.eml')).length === 2 && names;
    });
    const owners = mails.find((name) => name.includes('notification')) ?? '';
    expect(await readFile(join(folder.path, 'mail', owners), 'utf8')).to.include(answer.json.receipt);

    const listed = await ruffinweb(['messages', 'list', '--json'], settings);
    expect(JSON.parse(listed.stdout).items[0]).to.include({ receipt: answer.json.receipt, email: canary.email });

    await until('both are written down', async () => {
      const { stdout } = await ruffinweb(['emails', 'list', '--state', 'sent', '--json'], settings);
      return JSON.parse(stdout).items.length === 2;
    });
    await server.stop('SIGKILL');
    const still = await ruffinweb(['senders', 'list', '--json'], settings);
    expect(JSON.parse(still.stdout).items, 'the database outlived its owner').to.have.lengthOf(1);
    server = await RunningServer.start(settings, ['serve', '--migrate']);
    const again = await ruffinweb(['messages', 'show', answer.json.receipt, '--json'], settings);
    expect(JSON.parse(again.stdout)).to.include({ message: canary.message, name: canary.name });
    const outbox = await ruffinweb(['emails', 'list', '--json'], settings);
    expect(JSON.parse(outbox.stdout).items.map((it: { state: string }) => it.state)).to.deep.equal(['sent', 'sent']);
  });

  it("stores no visitor's data in clear: database, files, dump or log", async () => {
    const http = clientOf(server.url);
    expect((await http.post('/api/messages', submission(canary))).status).to.equal(201);
    expect(
      (await http.post('/api/messages', submission({ ...canary, email: 'quincunx@', subject: 'x'.repeat(300) })))
        .status,
    ).to.equal(422);
    expect((await http.post('/api/messages', `{"email":"${canary.email}`)).status).to.equal(400);
    expect((await http.get(`/quincunx/${canary.email}`)).status).to.equal(404);

    const client = new pg.Client({ connectionString: await joinEmbedded(folder.path) });
    await client.connect();
    await client.query('checkpoint');
    const tables = await client.query<{ name: string }>(
      `select tablename as name from pg_tables where schemaname = 'public'`,
    );
    expect(tables.rows.map((it) => it.name)).to.include.members(['messages', 'senders', 'emails', 'attempts']);
    for (const { name } of tables.rows) {
      const rows = await client.query<{ row: string }>(`select t::text as row from "${name}" as t`);
      for (const { row } of rows.rows) {
        expect(row, name).to.not.match(canaries);
        for (const hex of row.matchAll(/\\+x([0-9a-f]+)/g))
          expect(Buffer.from(hex[1] ?? '', 'hex').toString('latin1'), name).to.not.match(canaries);
      }
    }
    await client.end();

    const files = (await readdir(folder.path, { recursive: true, withFileTypes: true })).filter((it) => it.isFile());
    const inMail = join(folder.path, 'mail');
    const searched = files.filter((it) => it.parentPath !== inMail).map((it) => join(it.parentPath, it.name));
    expect(searched.length).to.be.greaterThan(500);
    for (const file of searched) {
      // PostgreSQL is running, and some of its files come and go.
      const text = await readFile(file, 'latin1').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return '';
        throw error;
      });
      expect(canaries.test(text), file).to.equal(false);
    }
    expect(server.log).to.include('message stored').and.not.match(canaries);
  });

  it('rejects a key that the database was not written with', async () => {
    const wrong = { ...settings, ENCRYPTION_KEYS: `kwrong:${Buffer.alloc(32, 7).toString('base64')}` };
    const listed = await ruffinweb(['senders', 'list'], wrong);
    expect(listed.code, listed.stderr).to.equal(2);
    expect(listed.stderr).to.include('no key in ENCRYPTION_KEYS opens this database');
    expect(listed.stdout).to.equal('');
  });

  it('is rejected on a data folder that another server uses', async () => {
    const second = await ruffinweb(['serve'], { ...settings, PORT: '0' });
    expect(second.code).to.equal(1);
    expect(second.stderr).to.include('another server is running').and.include('DATABASE_URL');
    expect((await clientOf(server.url).get('/readyz')).status, 'the first goes on').to.equal(200);
  });

  it('builds its links from the port that it was given', async () => {
    const { port } = new URL(server.url);
    const sent = await clientOf(server.url).post('/f/contact', submission({ message: 'Links' }));
    expect(sent.json.next).to.include(`http://localhost:${port}/thanks`);
  });

  it('creates no new key for a database encrypted with a missing key', async () => {
    const [file, away] = [join(folder.path, 'encryption.keys'), join(folder.path, 'keys.away')];
    await rename(file, away);
    const listed = await ruffinweb(['senders', 'list'], settings);
    expect(listed.code).to.equal(2);
    expect(listed.stderr).to.include('has their keys');
    expect(await readdir(folder.path)).to.not.include('encryption.keys');
    await rename(away, file);
  });

  it('names the command that updates its own database', async () => {
    await using empty = await temporaryFolder();
    await placeCluster(empty.path);
    const behind = await ruffinweb(['serve'], { DATA_DIR: empty.path, PORT: '0' });
    expect(behind.code).to.equal(4);
    expect(behind.stderr).to.include('run "ruffinweb serve --migrate"').and.to.not.include('migrate up');
  });

  it('tells commands clearly that no server is running', async () => {
    await using empty = await temporaryFolder();
    const listed = await ruffinweb(['senders', 'list'], { DATA_DIR: empty.path });
    expect(listed.code).to.equal(1);
    expect(listed.stderr)
      .to.include(`there is no database in ${empty.path}: is DATA_DIR right?`)
      .and.include('ruffinweb serve --migrate');
  });

  it('restarts a database that ended, and stores the next post', async () => {
    const pidOf = async () =>
      Number.parseInt(await readFile(join(folder.path, 'postgres', 'postmaster.pid'), 'utf8'), 10);
    const before = await pidOf();
    process.kill(before, 'SIGKILL');
    await until('another PostgreSQL runs', async () => (await pidOf()) !== before);
    const answer = await until('a post is stored', async () => {
      const it = await clientOf(server.url).post('/api/messages', submission({ message: 'After the end' }));
      return it.status === 201 && it;
    });
    const shown = await ruffinweb(['messages', 'show', answer.json.receipt, '--json'], settings);
    expect(JSON.parse(shown.stdout).message).to.equal('After the end');
    await until('it is logged', () => server.log.includes('had ended, and was started again'));
  });

  it('counts what needs a missing key even if no server can start', async () => {
    await server.stop();
    const without = { ...settings, ENCRYPTION_KEYS: `kother:${Buffer.alloc(32, 7).toString('base64')}` };
    const refused = await ruffinweb(['serve'], { ...without, PORT: '0' });
    expect(refused.code).to.equal(2);
    expect(refused.stderr).to.include('encryption status');
    const status = await ruffinweb(['encryption', 'status', '--json'], without);
    expect(status.code, status.stderr).to.equal(4);
    const keys = JSON.parse(status.stdout).keys as { id: string; state: string; total: number }[];
    expect(keys.find((it) => it.state === 'missing')?.total).to.be.above(0);
    expect((await ruffinweb(['senders', 'list'], settings)).stderr, 'it runs no longer').to.include('is not running');
    server = await RunningServer.start(settings);
  });
});
