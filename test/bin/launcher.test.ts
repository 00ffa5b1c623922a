import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';

const launcher = new URL('../../bin/ruffinweb.js', import.meta.url);

/** A Node that is too old, if this machine has one: the launcher must also parse under it. */
const olderNode = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin']
  .map((dir) => join(dir, 'node'))
  .find(isOlder);

describe('the launcher', () => {
  let root: string;

  beforeEach(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), 'launcher-')));
    await mkdir(join(root, 'bin'));
    await copyFile(launcher, join(root, 'bin', 'ruffinweb.js'));
    await writePackage('>=24.14.1');
  });

  afterEach(() => rm(root, { recursive: true, force: true }));

  it('runs the TypeScript sources of a clone directly', async () => {
    await mkdir(join(root, 'node_modules'));
    await write(
      'src/cli/main.ts',
      'export async function main(): Promise<void> { console.log(process.argv.slice(2)); process.exitCode = 4; }',
    );

    expect(await run(process.execPath, 'health', '--deep')).to.deep.include({
      code: 4,
      out: "[ 'health', '--deep' ]\n",
      err: '',
    });
  });

  it('starts the built program of an installed package', async () => {
    await write('dist/cli/main.js', "export async function main() { console.log('built'); }");

    expect(await run(process.execPath)).to.deep.include({ code: 0, out: 'built\n', err: '' });
  });

  it('keeps the compile cache in the home folder if need be', async () => {
    await write('dist/cli/main.js', "export async function main() { console.log('built'); }");
    // Stands in for a read-only folder, which a test running as root cannot have.
    await write('node_modules/.cache', 'in the way');
    const env = { PATH: process.env.PATH, HOME: join(root, 'home') };
    const child = spawn(process.execPath, [join(root, 'bin', 'ruffinweb.js')], { env });

    expect(await ended(child)).to.deep.include({ code: 0, out: 'built\n', err: '' });
    expect(await readdir(join(root, 'home', '.cache', 'ruffinweb'))).to.have.lengthOf(1);
  });

  it('starts only long-running commands with a small heap', async () => {
    await write('dist/cli/main.js', 'export async function main() { console.log(process.pid, ...process.execArgv); }');

    for (const command of ['serve', 'deliver', 'find x', 'messages export', 'messages list --json --match x']) {
      const { out, err } = await run(process.execPath, ...command.split(' '));
      expect(err).to.equal('');
      expect(out, command).to.match(
        /^\d+ --min-semi-space-size=8 --max-semi-space-size=8 --heap-growing-percent=50 --no-maglev --v8-pool-size=1 --disable-sigusr1\n$/,
      );
    }
    for (const command of ['health', 'messages list', 'messages list --json', 'serves', 'finds']) {
      expect((await run(process.execPath, ...command.split(' '))).out, command).to.match(/^\d+\n$/);
    }
  });

  it('opens no debugger on SIGUSR1, with or without the small heap', async () => {
    await write('dist/cli/main.js', sendsItself('SIGUSR1'));
    for (const args of [['serve'], ['health']]) {
      expect(await run(process.execPath, ...args), args[0]).to.deep.include({ code: 0, out: 'goes on\n', err: '' });
    }
  });

  it('says to install the packages in a clone without any', async () => {
    await write('src/cli/main.ts', "import 'commander';");

    const { code, err } = await run(process.execPath);

    expect(code).to.equal(1);
    expect(err).to.include('npm ci').and.include(root);
  });

  describe('under an outdated Node', () => {
    beforeEach(() => writePackage('>=99.1.0'));

    it('continues under the Node in node_modules', async () => {
      await writeNode('99.1.0', 'echo "$@"; echo told >&2; exit 3');

      const { code, out, err } = await run(tooOld, 'emails', 'list', '--since', '2 d');

      expect(code).to.equal(3);
      expect(out).to.equal(`${join(root, 'bin', 'ruffinweb.js')} emails list --since 2 d\n`);
      expect(err).to.equal('told\n');
    });

    it('passes signals on and waits for a graceful stop', async () => {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
        await writeNode(
          '99.1.0',
          // Not `wait`: a signal just before it would only be handled after the wait.
          `trap 'echo ${signal}; exit 5' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`,
        );
        const child = start(tooOld);
        child.stdout?.once('data', () => child.kill(signal));

        expect(await ended(child)).to.deep.include({ code: 5, out: `ready\n${signal}\n` });
      }
    });

    it('opens no debugger in the outdated Node on SIGUSR1', async () => {
      await writeNode('99.1.0', 'kill -USR1 $PPID; sleep 0.2; echo goes on');

      expect(await run(tooOld)).to.deep.include({ code: 0, out: 'goes on\n', err: '' });
    });

    it('ends with the signal that ended the program', async () => {
      await writeNode('99.1.0', 'kill -KILL $$');

      expect(await run(tooOld)).to.deep.include({ code: null, signal: 'SIGKILL' });
    });

    it('says what is needed if there is no newer Node', async () => {
      const { code, out, err } = await run(tooOld);

      expect({ code, out }).to.deep.equal({ code: 1, out: '' });
      expect(err).to.include('needs Node 99.1.0 or newer').and.include('ignore-scripts').and.include('npm ci');
      expect(err).to.not.include('    at ');
    });

    it('says the same if that Node is outdated or broken', async () => {
      await writeNode('99.0.9', 'echo wrong');
      expect(await run(tooOld)).to.deep.include({ code: 1, out: '' });

      await write('node_modules/node/package.json', JSON.stringify({ version: '100.0.0' }));
      await rm(join(root, 'node_modules/node/bin/node'));
      await mkdir(join(root, 'node_modules/node/bin/node'));
      const { code, err } = await run(tooOld);
      expect(code).to.equal(1);
      expect(err).to.include('cannot be run').and.include('needs Node');
    });
  });

  const tooOld = olderNode ?? process.execPath;

  function start(node: string, ...args: string[]): ChildProcess {
    return spawn(node, [join(root, 'bin', 'ruffinweb.js'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async function run(node: string, ...args: string[]): Promise<Ended> {
    return await ended(start(node, ...args));
  }

  async function writePackage(node: string): Promise<void> {
    await write('package.json', JSON.stringify({ type: 'module', engines: { node } }));
  }

  /** A stand-in for the package `node`: a shell script. */
  async function writeNode(version: string, script: string): Promise<void> {
    await write('node_modules/node/package.json', JSON.stringify({ version }));
    await write('node_modules/node/bin/node', `#!/bin/sh\n${script}\n`);
  }

  async function write(path: string, content: string): Promise<void> {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), content, { mode: 0o755 });
  }
});

/** A program that keeps running long enough for a debugger to announce that it listens. */
function sendsItself(signal: NodeJS.Signals): string {
  return `export async function main() {
    process.kill(process.pid, '${signal}');
    await new Promise((resolve) => setTimeout(resolve, 200));
    console.log('goes on');
  }`;
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
}

async function ended(child: ChildProcess): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Pick<Ended, 'code' | 'signal'>>();
  child.once('exit', (code, signal) => resolve({ code, signal }));
  const [out, err] = await Promise.all([child.stdout, child.stderr].map((stream) => (stream ? text(stream) : '')));
  return { ...(await promise), out: out ?? '', err: err ?? '' };
}

function isOlder(node: string): boolean {
  try {
    const major = Number(
      execFileSync(node, ['--print', 'process.versions.node'], { stdio: 'pipe' }).toString().split('.')[0],
    );
    return major >= 18 && major < 24;
  } catch {
    return false;
  }
}
