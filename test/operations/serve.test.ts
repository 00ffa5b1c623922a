import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { runHere } from '../cli/terminal.ts';
import { clientOf, submission } from '../support/api.ts';
import { programPath } from '../support/built-program.ts';
import { createDatabase } from '../support/database.ts';
import { freePort } from '../support/machine-programs.ts';
import { RunningServer, ruffinweb, temporaryFolder, testSettings } from '../support/program.ts';
import { openUnreadPipe } from '../support/unread-pipe.ts';
import { until } from '../support/until.ts';

describe('serve and deliver', () => {
  it('serve --migrate updates the schema; --no-deliver sends none', async () => {
    await using db = await createDatabase({ empty: true });
    await using folder = await temporaryFolder();
    const settings = { DATABASE_URL: db.url, DATA_DIR: folder.path, PUBLIC_URL: 'http://forms.example.test' };
    const refused = await runHere(['serve'], db, { settings });
    expect(refused).to.include({ code: 4, stdout: '' });
    expect(refused.stderr).to.equal('the database has no schema yet: run "ruffinweb serve --migrate"');

    await using server = await RunningServer.start(settings, ['serve', '--migrate', '--no-deliver']);
    expect(server.log).to.include('migration applied').and.include('PUBLIC_URL is http://');
    const [command = ''] = /^ {2}.* messages list$/m.exec(server.output) ?? [];
    const program = resolve(tmpdir(), command.trim().split(' ')[0] ?? '');
    expect(existsSync(program), 'it can be typed as it is printed').to.equal(true);
    expect((await clientOf(server.url).post('/api/messages', submission())).status).to.equal(201);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
    const once = await ruffinweb(['deliver', '--once'], settings);
    expect(once).to.include({ code: 0, stdout: '2 tries made: see "ruffinweb emails list"\n' });
    expect(once.stderr).to.include('PUBLIC_URL is http://');
    expect(await readdir(join(folder.path, 'mail'))).to.have.lengthOf(2);
    expect(await db.emails()).to.deep.equal({ 'auto-reply sent': 1, 'notification sent': 1 });

    await db.query('truncate duties');
    await using worker = await RunningServer.startWorker(settings);
    await until('the worker runs maintenance, too', async () => (await db.query('select name from duties')).length > 0);
    await clientOf(server.url).post('/api/messages', submission({ message: 'Another' }));
    await until('the deliverer sends it', async () => (await db.emails())['notification sent'] === 2);
    expect(await worker.stop('SIGINT')).to.deep.equal({ code: 0, signal: null });
    expect(await server.stop('SIGTERM')).to.deep.equal({ code: 0, signal: null });
  });

  it('neither starts with a broken template', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    const template = join(folder.path, 'templates', 'notification.text.liquid');
    await mkdir(join(folder.path, 'templates'));
    await writeFile(template, 'Hello\n{{ nonsense }}');
    for (const args of [['serve'], ['deliver'], ['deliver', '--once']]) {
      const run = await runHere(args, db, { settings: { DATA_DIR: folder.path, PORT: '0' } });
      expect(run, args.join(' ')).to.include({ code: 2, stdout: '' });
      expect(run.stderr).to.include(`${template}, line 2: unknown variable "nonsense"`);
    }
  });

  it('serve says which port is taken', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    const run = await runHere(['serve'], db, { settings: { DATA_DIR: folder.path, PORT: String(port) } });
    expect(run).to.include({ code: 1, stdout: '' });
    expect(run.stderr).to.include(`port ${port} is taken`);
    taken.close();
  });

  it('serve blames HOST and PORT if it cannot listen there', async () => {
    await using db = await createDatabase();
    for (const [HOST, words] of [
      ['203.0.113.9', /^cannot listen on 203\.0\.113\.9 \(.*EADDRNOTAVAIL.*\): set HOST to 0\.0\.0\.0, or/],
      ['2001:db8::9', /^cannot listen on 2001:db8::9 \(.*\): set HOST/],
      ['no-such-host.invalid', /^cannot listen on no-such-host\.invalid \(.*(?:ENOTFOUND|EAI_AGAIN).*\): set HOST/],
    ] as const) {
      const run = await runHere(['serve'], db, { settings: { HOST, PORT: '0' } });
      expect(run, HOST).to.include({ code: 1, stdout: '' });
      expect(run.stderr).to.match(words);
    }
  });

  it('every command says that its working folder is gone', async () => {
    const { stdout, stderr } = spawnSync(
      'sh',
      ['-c', 'rmdir "$PWD"; "$0" "$1" config check; echo $?', process.execPath, programPath()],
      {
        cwd: await mkdtemp(join(tmpdir(), 'ruffinweb-gone-')),
        encoding: 'utf8',
      },
    );
    expect([stdout, stderr]).to.deep.equal([
      '1\n',
      'ruffinweb: the working folder no longer exists: change to another one, and run this again\n',
    ]);
  });

  it('exits at once if its data folder cannot be created', async () => {
    for (const DATA_DIR of ['/proc/nope', '/proc/nope/deeper']) {
      const { code, stderr } = await ruffinweb(['serve', '--migrate'], { DATA_DIR, PORT: '0' });
      expect(code).to.equal(1);
      expect(stderr).to.match(/^ruffinweb: the data folder \/proc\/nope\S* cannot be used: ENOENT: [^\n]*\n$/);
    }
  });

  it('answers and stops while nobody reads its log and its stdout is a full disk', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    await using pipe = await openUnreadPipe();
    const port = await freePort();
    const child = spawn(process.execPath, [programPath(), 'serve', '--no-deliver'], {
      stdio: ['ignore', openSync('/dev/full', 'w'), pipe.fd],
      env: { ...process.env, ...testSettings, DATABASE_URL: db.url, DATA_DIR: folder.path, PORT: String(port) },
    });
    const ended = once(child, 'close');
    await using _child = { [Symbol.asyncDispose]: async () => void child.kill('SIGKILL') };
    const http = clientOf(`http://127.0.0.1:${port}`);
    await until('it answers', () =>
      http.get('/livez').then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    // About 250 bytes each; the pipe has 64 KiB.
    for (let n = 0; n < 400; n++) expect((await http.get('/livez')).status).to.equal(200);
    expect((await http.post('/api/messages', submission())).status).to.equal(201);
    child.kill('SIGTERM');
    expect(await ended).to.deep.equal([0, null]);
    expect(pipe.read()).to.include('the output cannot be written: ENOSPC');
  });

  it('refuses posts that do not fit into a small heap, and stores the others', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    const settings = { DATABASE_URL: db.url, DATA_DIR: folder.path, NODE_OPTIONS: '--max-old-space-size=64' };
    await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
    const http = clientOf(server.url);
    // The form is remembered after the first post.
    expect((await http.post('/api/messages', submission())).status).to.equal(201);
    const lock = await db.lockTable('senders');
    const refused = Promise.withResolvers<void>();
    const posting = Array.from({ length: 200 }, async (_, n) => {
      const body = JSON.stringify(submission({ message: `Hello ${n}` })) + ' '.repeat(50_000);
      const answer = await http.post('/api/messages', body);
      if (answer.status === 503) refused.resolve();
      return answer;
    });
    await Promise.race([refused.promise, Promise.all(posting)]);
    await lock.release();
    const answers = await Promise.all(posting);
    const stored = answers.filter((it) => it.status === 201).length;
    expect(new Set(answers.map((it) => it.json.code))).to.deep.equal(new Set([undefined, 'database-away']));
    expect(server.log).to.include('fill the memory');
    expect(stored).to.be.above(0);
    expect(await db.count('messages')).to.equal(stored + 1);
    expect((await http.post('/api/messages', submission({ message: 'later' }))).status).to.equal(201);
  });
});
