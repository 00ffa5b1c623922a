import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import pg from 'pg';
import { type EmbeddedServer, joinEmbedded, startEmbedded } from '../../src/database/embedded/embedded.ts';
import { EmbeddedNotRunning, EmbeddedOwned, EmbeddedUnavailable } from '../../src/database/embedded/errors.ts';
import { until } from '../support/until.ts';

describe('embedded PostgreSQL', () => {
  let dataDir: string;
  const children: ChildProcess[] = [];

  describe('in a new folder', () => {
    beforeEach(async () => {
      dataDir = join(await realpath(await mkdtemp(join(tmpdir(), 'embedded-'))), 'data');
    });
    afterEach(async () => {
      await endEverything();
      await rm(dirname(dataDir), { recursive: true, force: true });
    });

    it('has one owner after four simultaneous first starts', async () => {
      const [owner] = await startFour();

      expect(await joinEmbedded(dataDir)).to.equal(owner?.url);
      expect((await readdir(dataDir)).filter((name) => name.startsWith('postgres.new-'))).to.deep.equal([]);
    });

    it('cleans up after a first start that was killed', async () => {
      await mkdir(join(dataDir, 'postgres.new-1'), { recursive: true });
      await writeFile(join(dataDir, 'postgres.new-1', 'PG_VERSION'), '18\n');

      await using _server = await startEmbedded(dataDir);

      expect(await readdir(dataDir)).to.not.include('postgres.new-1');
    });

    it('works in a private folder without user namespaces', async () => {
      const home = dirname(dataDir);
      expect(await modeOf(home)).to.equal('700');
      const without = join(home, 'bin');
      await mkdir(without);
      await writeFile(join(without, 'unshare'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });

      const server = await startInChild({ PATH: `${without}${delimiter}${process.env.PATH}` });

      expect(await ask(server.url, 'select 1 as one')).to.deep.equal([{ one: 1 }]);
    });

    it('reports to a command that it is not running', async () => {
      const error = await failureOf(joinEmbedded(dataDir));

      expect(error).to.be.instanceOf(EmbeddedNotRunning);
      expect(error?.message).to.equal(
        `there is no database in ${dataDir}: is DATA_DIR right? For a new one set DATABASE_URL, or start the server: ruffinweb serve --migrate`,
      );
      expect(await exists(dataDir)).to.equal(false);
    });
  });

  describe('in a folder that was used before', () => {
    // One for all of these tests, because making a cluster takes longest.
    let used: string;
    before(async () => {
      used = join(await realpath(await mkdtemp(join(tmpdir(), 'embedded-'))), 'data');
      await using server = await startEmbedded(used);
      await ask(server.url, 'create table notes as select 41 as answer');
    });
    beforeEach(() => {
      dataDir = used;
    });
    afterEach(endEverything);
    after(() => rm(dirname(used), { recursive: true, force: true }));

    it('keeps its data from one start to the next', async () => {
      const first = await startEmbedded(dataDir);
      await ask(first.url, 'update notes set answer = 42');
      await first.stop();
      await first.stop();
      expect(await isRunning(dataDir)).to.equal(false);

      await using second = await startEmbedded(dataDir);

      expect(second).to.include({ adopted: false });
      expect(await ask(second.url, 'select answer from notes')).to.deep.equal([{ answer: 42 }]);
      expect(await ask(second.url, 'show fsync')).to.deep.equal([{ fsync: 'on' }]);
      expect(await ask(second.url, 'show synchronous_commit')).to.deep.equal([{ synchronous_commit: 'on' }]);
    });

    it('accepts connections only from this machine with the password', async () => {
      await using server = await startEmbedded(dataDir);

      expect(await modeOf(dataDir)).to.equal('700');
      expect(await modeOf(join(dataDir, 'postgres'))).to.equal('700');
      expect(await modeOf(join(dataDir, 'postgres.password'))).to.equal('600');
      expect(await modeOf(join(dataDir, 'postgres.log'))).to.equal('600');
      expect(new URL(server.url).hostname).to.equal('127.0.0.1');
      expect(await ask(server.url, 'show listen_addresses')).to.deep.equal([{ listen_addresses: '127.0.0.1' }]);
      const guess = new URL(server.url);
      guess.password = 'guess';
      expect(await failureOf(ask(guess.href, 'select 1'))).to.include({ code: '28P01' });
    });

    it('writes neither statements nor values to its log', async () => {
      await using server = await startEmbedded(dataDir);
      await ask(server.url, 'create table people (address text primary key)');
      const twice = "insert into people values ('ada@example.test'), ('ada@example.test')";
      expect(await failureOf(ask(server.url, twice))).to.include({ code: '23505' });
      expect(await failureOf(ask(server.url, "select 'ada@example.test'::int"))).to.include({ code: '22P02' });

      expect(await readFile(join(dataDir, 'postgres.log'), 'utf8'))
        .to.include('ready')
        .and.not.include('ada@example');
    });

    it('refuses a second owner while the first one runs', async () => {
      await using server = await startEmbedded(dataDir);

      expect(await failureOf(startEmbedded(dataDir)))
        .to.be.instanceOf(EmbeddedOwned)
        .with.property('message')
        .that.includes(`another server is running on ${dataDir}`)
        .and.includes('use another DATA_DIR');

      expect(await joinEmbedded(dataDir)).to.equal(server.url);
    });

    it('is taken over by the next start after its owner was killed', async () => {
      const owner = await startInChild();
      await ask(owner.url, 'update notes set answer = 43');
      await kill(owner.child, 'SIGKILL');
      expect(await joinEmbedded(dataDir)).to.equal(owner.url);

      await using next = await startEmbedded(dataDir);

      expect(next).to.include({ adopted: true, url: owner.url });
      expect(await ask(next.url, 'select answer from notes')).to.deep.equal([{ answer: 43 }]);
    });

    it('restarts on its port when it is killed under its owner', async () => {
      const lines: string[] = [];
      await using server = await startEmbedded(dataDir, { onRestart: (line) => lines.push(line) });
      await killPostmaster(dataDir);

      await until('it runs again', () => lines.length > 0);

      expect(lines).to.deep.equal(['the embedded PostgreSQL had ended, and was started again']);
      expect(await joinEmbedded(dataDir)).to.equal(server.url);
      expect(await failureOf(startEmbedded(dataDir)), 'it still has its owner').to.be.instanceOf(EmbeddedOwned);
    });

    it('recovers committed data after PostgreSQL was killed', async () => {
      const first = await startEmbedded(dataDir);
      await ask(first.url, 'update notes set answer = 44');
      await killPostmaster(dataDir);
      await first.stop();

      await using next = await startEmbedded(dataDir);

      expect(next).to.include({ adopted: false });
      expect(await ask(next.url, 'select answer from notes')).to.deep.equal([{ answer: 44 }]);
    });

    it('starts although the pid of a killed PostgreSQL was reused', async () => {
      const first = await startEmbedded(dataDir);
      await killPostmaster(dataDir);
      await first.stop();
      const pidFile = join(dataDir, 'postgres', 'postmaster.pid');
      const lines = (await readFile(pidFile, 'utf8')).split('\n');
      await writeFile(pidFile, [process.pid, ...lines.slice(1)].join('\n'));
      const error = await failureOf(joinEmbedded(dataDir));
      expect(error).to.be.instanceOf(EmbeddedNotRunning);
      expect(error?.message).to.include(`the embedded database in ${dataDir} is not running; set DATABASE_URL`);

      await using next = await startEmbedded(dataDir);

      expect(next).to.include({ adopted: false });
    });

    it('goes to one of four starts after its owner was killed', async () => {
      const owner = await startInChild();
      await kill(owner.child, 'SIGKILL');

      const [next] = await startFour();

      expect(next).to.include({ adopted: true, url: owner.url });
    });

    it('goes to one of four after owner and server were killed', async () => {
      const owner = await startInChild();
      await ask(owner.url, 'update notes set answer = 45');
      await kill(owner.child, 'SIGKILL');
      await killPostmaster(dataDir);

      const [next] = await startFour();

      expect(await ask(next?.url ?? '', 'select answer from notes')).to.deep.equal([{ answer: 45 }]);
    });

    it('explains what to do when the password file is missing', async () => {
      const password = join(dataDir, 'postgres.password');
      await rename(password, `${password}.lost`);

      const error = await failureOf(startEmbedded(dataDir));
      await rename(`${password}.lost`, password);

      expect(error).to.be.instanceOf(EmbeddedUnavailable);
      expect(error?.message).to.include('postgres.password is missing');
    });
  });

  /** After every other owner was killed, a start takes over the PostgreSQL that is left and stops it. */
  async function endEverything(): Promise<void> {
    for (const child of children.splice(0)) await kill(child, 'SIGKILL');
    if (await exists(join(dataDir, 'postgres', 'postmaster.pid'))) await (await startEmbedded(dataDir)).stop();
  }

  interface InChild extends Pick<EmbeddedServer, 'url' | 'adopted'> {
    child: ChildProcess;
  }

  /** Four processes start it at once, and one owns it afterwards. */
  async function startFour(): Promise<InChild[]> {
    const four = await Promise.allSettled([startInChild(), startInChild(), startInChild(), startInChild()]);
    const refusals = four.filter((it) => it.status === 'rejected').map((it) => (it.reason as Error).message);
    expect(refusals).to.have.lengthOf(3);
    for (const refusal of refusals) expect(refusal).to.include('another server is running on');
    return four.filter((it) => it.status === 'fulfilled').map((it) => it.value);
  }

  /** Starts it in a process of its own, which then lives until it is killed. */
  async function startInChild(env: Record<string, string> = {}): Promise<InChild> {
    const module = JSON.stringify(new URL('../../src/database/embedded/embedded.ts', import.meta.url));
    const program = `
      const { startEmbedded } = await import(${module});
      try {
        const { url, adopted } = await startEmbedded(${JSON.stringify(dataDir)});
        process.on('message', () => {}); // keeps it alive
        process.send({ url, adopted });
      } catch (error) {
        process.send({ refusal: error.message });
        process.disconnect();
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    children.push(child);
    const started = await new Promise<Omit<InChild, 'child'>>((resolve, reject) => {
      child.once('message', (message: InChild | { refusal: string }) => {
        if ('refusal' in message) reject(new Error(message.refusal));
        else resolve(message);
      });
      child.once('exit', (code) => reject(new Error(`the child ended with ${code}`)));
    });
    return { ...started, child };
  }
});

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function failureOf(promise: Promise<unknown>): Promise<Error | undefined> {
  return await promise.then(
    () => undefined,
    (error: Error) => error,
  );
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}

async function killPostmaster(dataDir: string): Promise<void> {
  const pid = Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);
  process.kill(pid, 'SIGKILL');
  const deadline = Date.now() + 5_000;
  while (await isRunning(dataDir)) {
    expect(Date.now(), 'the killed server is still there').to.be.below(deadline);
    await delay(10);
  }
}

async function isRunning(dataDir: string): Promise<boolean> {
  return await joinEmbedded(dataDir).then(
    () => true,
    () => false,
  );
}

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
