import { type ChildProcess, spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';

const script = new URL('../../bin/install-once.js', import.meta.url);

/** A stand-in for npm: records that it ran, and leaves the file that npm writes last. */
const fakeNpm = `
  import { appendFileSync, copyFileSync, mkdirSync } from 'node:fs';
  appendFileSync('ran.txt', process.argv.slice(2).join(' ') + '\\n');
  console.log('npm speaks');
  mkdirSync('node_modules', { recursive: true });
  setTimeout(() => copyFileSync('package-lock.json', 'node_modules/.package-lock.json'), 100);`;

describe('install-once', () => {
  let root: string;

  beforeEach(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), 'install-')));
    await mkdir(join(root, 'bin'));
    await copyFile(script, join(root, 'bin', 'install-once.js'));
    await write('package.json', JSON.stringify({ type: 'module', engines: { node: '>=24.14.1' } }));
    await write('npm-cli.js', fakeNpm);
    await writeLock({ koa: '3.3.0' });
  });

  afterEach(() => rm(root, { recursive: true, force: true }));

  it('installs once, says how much, and is silent afterwards', async () => {
    const first = await run();
    expect(first).to.deep.include({ code: 0, out: '' });
    expect(first.err).to.include('Installing 1 packages').and.include('MB').and.include('once');

    expect(await run()).to.deep.equal({ code: 0, out: '', err: '' });
    expect(await runs()).to.have.lengthOf(1);
    expect(await readdir(root)).to.not.include('.installing');
  });

  it('installs again when package-lock.json has changed', async () => {
    await run();
    await writeLock({ koa: '3.3.1' });
    await run();

    expect(await runs()).to.have.lengthOf(2);
  });

  it('does not wait for packages of other platforms', async () => {
    await run();
    const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'));
    lock.packages['node_modules/other'] = { version: '1.0.0', os: ['none'], optional: true };
    await write('package-lock.json', JSON.stringify(lock));

    expect(await run()).to.deep.equal({ code: 0, out: '', err: '' });
  });

  it('lets one of three simultaneous starts install', async () => {
    const three = await Promise.all([run(), run(), run()]);

    expect(three.map((it) => it.code)).to.deep.equal([0, 0, 0]);
    expect(await runs()).to.have.lengthOf(1);
  });

  it('recovers from an installation that was killed', async () => {
    const dead = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
    await new Promise((resolve) => dead.once('exit', resolve));
    await write('.installing', String(dead.pid));

    expect(await run()).to.deep.include({ code: 0 });
    expect(await runs()).to.have.lengthOf(1);
  });

  it("passes on npm's failure and retries on the next start", async () => {
    await write('npm-cli.js', 'process.exitCode = 7;');
    expect(await run()).to.deep.include({ code: 7 });

    await write('npm-cli.js', fakeNpm);
    expect(await run()).to.deep.include({ code: 0 });
  });

  it('names ignore-scripts if npm installed no newer Node', async () => {
    await write('package.json', JSON.stringify({ type: 'module', engines: { node: '>=99.0.0' } }));

    const { code, err } = await run();

    expect(code).to.equal(1);
    expect(err).to.include('needs Node 99.0.0').and.include('ignore-scripts');
  });

  it('runs before every script of a clone', async () => {
    const { scripts } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    const names = Object.keys(scripts).filter((it) => !/^(?:pre|post)/.test(it));
    expect(names).to.include.members(['start', 'test', 'build', 'check', 'docs', 'bench', 'test:chaos']);
    for (const name of names) expect(scripts[`pre${name}`], name).to.equal('node bin/install-once.js');
    // Another npm run starts another shell; this one has already looked up its Node and keeps the old one.
    expect(scripts.prepack).to.include('npm run --silent build');
  });

  it('omits dev packages in production, unless the tests will run', async () => {
    await writeLock({ koa: '3.3.0' });
    await run({ npm_lifecycle_event: 'prestart', NODE_ENV: 'production' });
    await run({ npm_lifecycle_event: 'pretest', NODE_ENV: 'production' });
    await rm(join(root, 'node_modules'), { recursive: true });
    await run({ npm_lifecycle_event: 'pretest', NODE_ENV: 'production' });

    expect(await runs()).to.deep.equal([
      'ci --no-audit --no-fund --loglevel=error --dry-run=false --json=false',
      'ci --no-audit --no-fund --loglevel=error --dry-run=false --json=false --include=dev',
    ]);
  });

  async function run(env: Record<string, string> = {}): Promise<{ code: number | null; out: string; err: string }> {
    const npm = {
      npm_execpath: join(root, 'npm-cli.js'),
      npm_node_execpath: process.execPath,
      npm_lifecycle_event: 'pretest',
      npm_config_omit: '',
    };
    const child: ChildProcess = spawn(process.execPath, [join(root, 'bin', 'install-once.js')], {
      env: { ...process.env, ...npm, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const code = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const [out, err] = await Promise.all([child.stdout, child.stderr].map((stream) => (stream ? text(stream) : '')));
    return { code: await code, out: out ?? '', err: err ?? '' };
  }

  async function runs(): Promise<string[]> {
    return (await readFile(join(root, 'ran.txt'), 'utf8')).trim().split('\n');
  }

  async function writeLock(versions: Record<string, string>): Promise<void> {
    const packages = Object.entries(versions).map(([name, version]) => [`node_modules/${name}`, { version }]);
    await write('package-lock.json', JSON.stringify({ packages: { '': {}, ...Object.fromEntries(packages) } }));
  }

  async function write(path: string, content: string): Promise<void> {
    await writeFile(join(root, path), content);
  }
});
