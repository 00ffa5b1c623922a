import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { describeWith, freePort } from '../support/machine-programs.ts';
import { packedFile } from '../support/packed-file.ts';
import { temporaryFolder, testKeys } from '../support/program.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const deploy = fileURLToPath(new URL('../../deploy/', import.meta.url));

/** The part of systemd that the service needs: one process, started from the release that `current` links to. */
const service = `#!/bin/bash
set -eu
if [ -f "$ROOT/pid" ]; then
  pid=$(cat "$ROOT/pid")
  kill "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
fi
[ "\${1:-restart}" = stop ] && exit 0
setsid "$RUFFINWEB" serve >> "$ROOT/out.log" 2>> "$ROOT/err.log" < /dev/null &
echo $! > "$ROOT/pid"
`;

describeWith(['curl'], 'deploy/install-release.sh', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let db: TestDatabase;
  let env: Record<string, string>;
  let good: string;
  let url: string;

  before(async () => {
    folder = await temporaryFolder();
    db = await createDatabase({ empty: true });
    good = await packedFile();
    const [port, etc] = [await freePort(), join(folder.path, 'etc')];
    url = `http://127.0.0.1:${port}`;
    await mkdir(join(etc, 'credentials'), { recursive: true });
    await writeFile(join(etc, 'credentials', 'DATABASE_URL'), db.url);
    await writeFile(join(etc, 'credentials', 'ENCRYPTION_KEYS'), testKeys);
    await writeFile(
      join(etc, '.env'),
      `PORT=${port}\nPUBLIC_URL=${url}\nRATE_LIMIT=off\nSMTP_HOST=127.0.0.1\nMAIL_FROM=forms@site.test\nNOTIFY_TO=owner@site.test\n`,
    );
    await writeFile(join(folder.path, 'service.sh'), service);
    await chmod(join(folder.path, 'service.sh'), 0o755);
    env = {
      // Releases start under the Node that runs these tests.
      PATH: `${join(process.execPath, '..')}:${process.env.PATH}`,
      HOME: process.env.HOME ?? '',
      ROOT: join(folder.path, 'opt'),
      ...{ RUFFINWEB: join(deploy, 'bin/ruffinweb'), RUFFINWEB_ETC: etc, RUFFINWEB_USER: '' },
      DATA_DIR: join(folder.path, 'data'),
      NODE_COMPILE_CACHE: join(folder.path, 'cache'),
      RESTART: `RUFFINWEB_RELEASE=$ROOT/current ${join(folder.path, 'service.sh')}`,
      READY_URL: `${url}/readyz`,
      READY_SECONDS: '30',
    };
  });
  after(async () => {
    await run(join(folder.path, 'service.sh'), ['stop'], { env }).catch(() => {});
    await db?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  const install = (what: string, more: Record<string, string> = {}) =>
    run(join(deploy, 'install-release.sh'), [what], { env: { ...env, ...more } }).then(
      ({ stderr }) => ({ code: 0, told: stderr }),
      (error: { code: number; stderr: string }) => ({ code: error.code, told: error.stderr }),
    );
  const linked = async (name: string) => (await readlink(join(env.ROOT ?? '', name)).catch(() => undefined))?.slice(9);
  const releases = async () => (await readdir(join(env.ROOT ?? '', 'releases'))).sort();

  /** The same release with another version and a change in it. */
  async function release(version: string, change: (folder: string) => Promise<void> = async () => {}): Promise<string> {
    const draft = join(folder.path, `draft-${version}`);
    await mkdir(draft);
    await run('tar', ['-xzf', good, '-C', draft]);
    const manifest = join(draft, 'package', 'package.json');
    await writeFile(
      manifest,
      (await readFile(manifest, 'utf8')).replace(/"version": "[^"]*"/, `"version": "${version}"`),
    );
    await change(join(draft, 'package'));
    const file = join(folder.path, `ruffinweb-backend-${version}.tgz`);
    await run('tar', ['-czf', file, '-C', draft, 'package']);
    await rm(draft, { recursive: true });
    return file;
  }
  /** Every command works, but the server does something else. */
  const breakServe = (instead: string) => async (unpacked: string) => {
    const launcher = join(unpacked, 'bin', 'ruffinweb.js');
    const text = await readFile(launcher, 'utf8');
    await cp(launcher, `${launcher}.real.js`);
    await writeFile(launcher, text.replace(/^import /m, `if (process.argv.includes('serve')) { ${instead} }\nimport `));
  };

  it('sets up a new machine until the server accepts posts', async () => {
    const { code, told } = await install(good);
    expect(code, told).to.equal(0);
    expect(told)
      .to.include('first_schema')
      .and.match(/install-release: 0\.\d+\.\d+-\w{12} answers\n$/);
    const answer = await clientOf(url).post('/api/messages', submission());
    expect(answer.status).to.equal(201);
  });

  it('rejects an archive that changes other files through a link', async () => {
    const secret = join(folder.path, 'secret');
    await writeFile(secret, '', { mode: 0o600 });
    const before = await releases();
    const file = await release('0.6.6', async (unpacked) => {
      await rm(join(unpacked, 'bin', 'ruffinweb.js'));
      await symlink(secret, join(unpacked, 'bin', 'ruffinweb.js'));
    });
    const { code, told } = await install(file);
    expect([code, told]).to.deep.equal([
      2,
      `install-release: ${file} holds what is neither file nor folder, and is no packed release\n`,
    ]);
    expect((await stat(secret)).mode & 0o777).to.equal(0o600);
    expect(await releases()).to.deep.equal(before);
  });

  it('changes nothing when given the same file again', async () => {
    const before = await linked('current');
    expect((await install(good)).code).to.equal(0);
    expect(await linked('current')).to.equal(before);
    expect(await linked('previous')).to.equal(undefined);
  });

  it('switches to the next release without losing posts in flight', async () => {
    let stop = false;
    const statuses: (number | undefined)[] = [];
    const posting = (async () => {
      for (let i = 0; !stop; i++) {
        const answer = await clientOf(url)
          .post('/api/messages', submission({ email: `p${i}@example.test`, message: `No ${i}` }))
          .catch(() => undefined);
        statuses.push(answer?.status);
        // A server that is down refuses connections at once.
        if (answer === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    const old = await linked('current');
    const { code, told } = await install(await release('0.2.1'));
    stop = true;
    await posting;
    expect(code, told).to.equal(0);
    expect(await linked('current')).to.match(/^0\.2\.1-/);
    expect(await linked('previous')).to.equal(old);
    const answered = statuses.filter((it) => it !== undefined);
    expect(new Set(answered)).to.deep.equal(new Set([201]));
    expect(await db.count('messages')).to.be.at.least(answered.length + 1);
  });

  for (const [what, instead, seconds] of [
    ['that ends at once', 'process.exit(70)', '10'],
    [
      'that listens and is never ready',
      `(await import('node:http')).createServer((q, s) => s.writeHead(503).end()).listen(new URL(process.env.READY_URL).port); await new Promise(() => {})`,
      '11',
    ],
  ] as const) {
    it(`goes back from a release ${what}: the old one answers`, async () => {
      const old = await linked('current');
      const before = await linked('previous');
      const file = await release(`0.3.${seconds}`, breakServe(instead));
      const { code, told } = await install(file, { READY_SECONDS: seconds });
      expect(code, told).to.equal(1);
      expect(told).to.include('going back to 0.2.1').and.include('answers again');
      expect(await linked('current')).to.equal(old);
      expect(await linked('previous')).to.equal(before);
      expect((await clientOf(url).post('/api/messages', submission({ message: `After ${what}` }))).status).to.equal(
        201,
      );
    });
  }

  it('rejects an unusable release and changes nothing', async () => {
    const old = await linked('current');
    const pid = await readFile(join(env.ROOT ?? '', 'pid'), 'utf8');
    const broken = await release('0.9.0', (it) =>
      writeFile(join(it, 'bin', 'ruffinweb.js'), '#!/usr/bin/env node\nthrow 1'),
    );
    const refused = await install(broken);
    expect(refused.code).to.equal(1);
    expect(refused.told).to.include('nothing was changed');
    await writeFile(join(folder.path, 'no.tgz'), 'no');
    expect((await install(join(folder.path, 'no.tgz'))).code).to.equal(2);
    expect(await linked('current')).to.equal(old);
    expect(await readFile(join(env.ROOT ?? '', 'pid'), 'utf8'), 'the server was not restarted').to.equal(pid);
  });

  /** Kills it with `-9` after it switched, before the service is restarted. */
  async function killHalfWay(what: string, switchedTo: string, meanwhile = async () => {}): Promise<void> {
    const child = spawn(join(deploy, 'install-release.sh'), [what], {
      env: { ...env, RESTART: 'sleep 30' },
      detached: true,
    });
    await until('it has switched', async () => (await linked('current'))?.startsWith(switchedTo), 60_000);
    await meanwhile();
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await once(child, 'exit');
  }

  it('continues after a kill -9, and runs only once at a time', async () => {
    const old = await linked('current');
    const file = await release('0.5.0');
    await killHalfWay(file, '0.5.0-', async () => {
      expect((await install(file)).told).to.include('another one is at work');
    });
    const { code, told } = await install(file);
    expect(code, told).to.equal(0);
    expect(await linked('current')).to.match(/^0\.5\.0-/);
    expect(await linked('previous'), 'the one that it came from').to.equal(old);
  });

  it('goes back to the last good release after a kill -9', async () => {
    const before = [await linked('current'), await linked('previous')];
    const file = await release('0.5.2', breakServe('process.exit(70)'));
    await killHalfWay(file, '0.5.2-');
    const { code, told } = await install(file, { READY_SECONDS: '10' });
    expect(code, told).to.equal(1);
    expect(told).to.include('going back to 0.5.0').and.include('answers again');
    expect([await linked('current'), await linked('previous')]).to.deep.equal(before);

    await killHalfWay(file, '0.5.2-');
    expect((await install('--back')).code).to.equal(0);
    expect([await linked('current'), await linked('previous')], 'by hand').to.deep.equal(before);
  });

  it('--back continues when repeated after a kill half-way', async () => {
    const [current = '', previous = ''] = [await linked('current'), await linked('previous')];
    await killHalfWay('--back', previous);
    expect((await install('--back')).code).to.equal(0);
    expect([await linked('current'), await linked('previous')]).to.deep.equal([previous, current]);
    expect((await install('--back')).code).to.equal(0);
  });

  it('--back goes to the previous release, and forward again', async () => {
    const [current, previous] = [await linked('current'), await linked('previous')];
    expect((await install('--back')).code).to.equal(0);
    expect([await linked('current'), await linked('previous')]).to.deep.equal([previous, current]);
    expect((await install('--back')).code).to.equal(0);
    expect(await linked('current')).to.equal(current);
  });

  it('works over ssh, checks the host, returns the exit code', async () => {
    // Stand-ins for ssh and scp only: the commands for the other machine really run.
    const there = join(folder.path, 'there');
    await mkdir(there);
    await writeFile(join(there, 'ssh'), `#!/bin/bash\necho "$@" >> "${there}/said"\nexec bash -c "\${@: -1}"\n`);
    await writeFile(join(there, 'sudo'), '#!/bin/bash\nshift\nexec "$@"\n');
    await cp(join(deploy, 'install-release.sh'), join(there, 'install-release'));
    for (const name of ['ssh', 'sudo', 'install-release']) await chmod(join(there, name), 0o755);
    const push = (what: string) =>
      run(join(deploy, 'github/push-release.sh'), [what], {
        env: {
          ...{ ...env, PATH: `${there}:${env.PATH}` },
          ...{ DEPLOY_TO: 'deploy@forms.example.com', DEPLOY_KEY: 'a key', DEPLOY_KNOWN_HOSTS: 'forms.example.com a' },
        },
      });
    await push(await release('0.5.1'));
    expect(await linked('current')).to.match(/^0\.5\.1-/);
    await push('--back');
    expect(await linked('current')).to.match(/^0\.5\.0-/);
    await push('--back');
    const refused = await push(join(folder.path, 'no.tgz')).catch((error) => error);
    expect(refused.code).to.equal(2);
    const said = await readFile(join(there, 'said'), 'utf8');
    expect(said)
      .to.include('StrictHostKeyChecking=yes')
      .and.include('deploy@forms.example.com')
      .and.not.include('a key');
  });

  it('keeps three releases, with the current and the previous', async () => {
    const back = await linked('current');
    expect((await install(await release('0.6.0'))).code).to.equal(0);
    const kept = await releases();
    expect(kept).to.have.lengthOf(3);
    expect(kept).to.include.members([await linked('current'), back]);
  });

  it('checks forms.yaml before any change, and applies it last', async () => {
    const withForms = (version: string, text: string) =>
      release(version, (unpacked) => writeFile(join(unpacked, 'forms.yaml'), text));
    const before = await linked('current');
    const refused = await install(await withForms('0.6.1', 'forms:\n  contact: {captha: none}\n'));
    expect(refused.code).to.equal(1);
    expect(refused.told).to.include(':2:13: contact.captha: is unknown').and.include('nothing was changed');
    expect(await linked('current')).to.equal(before);
    const { code, told } = await install(await withForms('0.6.2', 'forms:\n  contact: {name: Our form}\n'));
    expect(code, told).to.equal(0);
    expect(told).to.match(/0\.6\.2-\w{12} answers\nchange contact\n {2}name: – → Our form\n$/);
    expect(await linked('current')).to.match(/^0\.6\.2-/);
  });
});
