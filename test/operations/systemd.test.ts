import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { programPath } from '../support/built-program.ts';
import { createDatabase } from '../support/database.ts';
import { describeWith, freePort, pathOf } from '../support/machine-programs.ts';
import { packedFile } from '../support/packed-file.ts';
import { PrivateSystemd, whyNoSystemd } from '../support/private-systemd.ts';
import { temporaryFolder, testKeys } from '../support/program.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const deploy = fileURLToPath(new URL('../../deploy/', import.meta.url));
const units = ['ruffinweb.service', 'ruffinweb-worker.service', 'ruffinweb-backup.service'];

describeWith(['systemd-analyze'], 'the units in deploy/systemd', () => {
  it('are valid for systemd, and as restricted as documented', async () => {
    await using folder = await temporaryFolder();
    const documented = /overall exposure level of (\d\.\d)/.exec(
      await readFile(join(deploy, '../docs/deploying.md'), 'utf8'),
    );
    for (const unit of units) {
      const path = join(folder.path, unit);
      // There is no release here: any program will do in its place.
      const text = (await readFile(join(deploy, 'systemd', unit), 'utf8')).replaceAll(
        /\/(opt\/ruffinweb\/current\/bin\/ruffinweb\.js|usr\/local\/bin\/ruffinweb-backup)/g,
        '/bin/true',
      );
      await writeFile(path, text);
      const verified = await run(pathOf('systemd-analyze') ?? '', ['verify', '--man=no', path]).catch((error) => error);
      expect(verified.stderr.split('\n').filter((line: string) => line.includes(unit))).to.deep.equal([]);
      const { stdout } = await run(pathOf('systemd-analyze') ?? '', ['security', '--offline=true', '--no-pager', path]);
      expect(/Overall exposure level for \S+: (\d\.\d)/.exec(stdout)?.[1]).to.equal(documented?.[1]);
    }
  });

  it('limit memory and processes, write no core, reach no credentials', async () => {
    for (const unit of units) {
      const lines = (await readFile(join(deploy, 'systemd', unit), 'utf8')).split('\n');
      expect(lines, unit).to.include.members(['LimitCORE=0', 'MemoryMax=768M', 'TasksMax=64']);
      expect(lines, unit).to.include('IPAddressDeny=169.254.169.254 fd00:ec2::254');
    }
  });

  it('the timer of the backup is valid', async () => {
    await using folder = await temporaryFolder();
    for (const unit of ['ruffinweb-backup.timer', 'ruffinweb-backup.service'])
      await cp(join(deploy, 'systemd', unit), join(folder.path, unit));
    const timer = join(folder.path, 'ruffinweb-backup.timer');
    const verified = await run(pathOf('systemd-analyze') ?? '', ['verify', '--man=no', timer]).catch((error) => error);
    expect(verified.stderr.split('\n').filter((line: string) => line.includes('.timer'))).to.deep.equal([]);
  });

  it('ruffinweb-backup keeps the newest, and deletes old verified ones', async () => {
    await using folder = await temporaryFolder();
    await using db = await createDatabase();
    const backups = join(folder.path, 'backups');
    const old = [
      '20200101T000000Z',
      '20200102T000000Z',
      'unverified-20200103T000000Z',
      'notes',
      '2019 by hand Z',
      'x.part-0123abcd',
    ];
    for (const name of old) await mkdir(join(backups, name), { recursive: true });
    await utimes(join(backups, 'x.part-0123abcd'), 0, 0);
    const program = join(folder.path, 'ruffinweb');
    await writeFile(program, `#!/bin/sh\nexec "${process.execPath}" "${programPath()}" "$@"\n`, { mode: 0o755 });
    const env = { PATH: process.env.PATH, RUFFINWEB: program, DATABASE_URL: db.url, ENCRYPTION_KEYS: testKeys };
    const backUp = (more: Record<string, string> = {}) =>
      run(join(deploy, 'bin/ruffinweb-backup'), [backups], { env: { ...env, ...more } }).catch((error) => error);

    // The first command that needs keys stores them.
    await run(program, ['senders', 'list'], { env });
    const failed = await backUp({ DATABASE_URL: db.url.replace(db.name, 'missing') });
    expect(failed.code).to.equal(1);
    expect(await readdir(backups)).to.have.members(old);

    for (const [more, says] of [
      [{ KEEP_DAYS: 'two weeks' }, 'KEEP_DAYS is "two weeks"'],
      [{ RUFFINWEB: join(folder.path, 'none') }, 'set RUFFINWEB'],
    ] as const) {
      const refused = await backUp(more);
      expect(refused).to.include({ code: 2, stdout: '' });
      expect(refused.stderr).to.include(says);
    }
    const script = join(deploy, 'bin/ruffinweb-backup');
    expect((await run(script, ['--help'])).stdout).to.match(/^Makes a backup.*KEEP_DAYS.*\n$/s);
    expect((await run(script, []).catch((error) => error)).stderr).to.include('ruffinweb-backup /var/lib');
    expect(await readdir(backups)).to.have.members(old);

    expect((await backUp({ KEEP_DAYS: '0' })).stdout).to.match(/^created and verified \S+Z\n$/);
    const left = await readdir(backups);
    expect(left).to.include.members(['notes', '2019 by hand Z']).and.have.lengthOf(3);
    const [newest = ''] = left.filter((it) => /^2.*T.*Z$/.test(it));
    expect(await readdir(join(backups, newest))).to.have.members(['files', 'manifest.json', 'tables']);
    expect(await db.query(`select from duties where name = 'backup-verified'`)).to.have.lengthOf(1);
  });

  it('set-up.sh puts files where units expect them, keeps keys', async () => {
    await using folder = await temporaryFolder();
    const env = { ...process.env, DESTDIR: folder.path };
    await run(join(deploy, 'set-up.sh'), [], { env });
    const keyFile = join(folder.path, 'etc/ruffinweb/credentials/ENCRYPTION_KEYS');
    const keys = await readFile(keyFile, 'utf8');
    expect(keys).to.match(/^k\d{8}-\d{6}:[A-Za-z0-9+/]{43}=\n$/);
    await writeFile(join(folder.path, 'etc/ruffinweb/.env'), 'PORT=1\n');
    await run(join(deploy, 'set-up.sh'), [], { env });
    expect(await readFile(keyFile, 'utf8')).to.equal(keys);
    expect(await readFile(join(folder.path, 'etc/ruffinweb/.env'), 'utf8')).to.equal('PORT=1\n');
    for (const unit of units)
      expect(await readFile(join(folder.path, 'etc/systemd/system', unit), 'utf8')).to.include('LoadCredential=');
  });
});

if (whyNoSystemd !== undefined) console.warn(`skipped "under a real systemd": ${whyNoSystemd}`);
else
  describe('under a real systemd', () => {
    it('the service migrates, serves, survives kill -9, and stops', async () => {
      await using folder = await temporaryFolder();
      await using db = await createDatabase({ empty: true });
      const [releases, etc, at] = ['opt', 'etc', 'units'].map((name) => join(folder.path, name)) as [
        string,
        string,
        string,
      ];
      const release = join(releases, 'current');
      await mkdir(join(etc, 'credentials'), { recursive: true });
      await mkdir(release, { recursive: true });
      await run('tar', ['-xzf', await packedFile(), '-C', release, '--strip-components=1', '--no-same-owner']);
      const port = await freePort();
      const url = `http://127.0.0.1:${port}`;
      await writeFile(
        join(etc, '.env'),
        `PORT=${port}\nPUBLIC_URL=${url}\nSMTP_HOST=127.0.0.1\nSMTP_USER=forms@site.test\nNOTIFY_TO=owner@site.test\n`,
      );
      const secrets = { DATABASE_URL: db.url, ENCRYPTION_KEYS: testKeys, SMTP_PASSWORD: 'secret' };
      for (const [name, value] of Object.entries(secrets))
        await writeFile(join(etc, 'credentials', name), value, { mode: 0o600 });
      await mkdir(join(at, 'ruffinweb.service.d'), { recursive: true });
      const text = await readFile(join(deploy, 'systemd/ruffinweb.service'), 'utf8');
      await writeFile(
        join(at, 'ruffinweb.service'),
        text.replaceAll('/opt/ruffinweb/', '/run/test-opt/').replaceAll('/etc/ruffinweb', '/run/test-etc'),
      );
      await writeFile(
        join(at, 'ruffinweb.service.d/test.conf'),
        // No account is created for a test: "nobody" exists on every machine. The Node is the one running these tests.
        `[Service]\nUser=nobody\nGroup=nogroup\nEnvironment=PATH=/run/test-node:/usr/bin:/bin\nRestartSec=1\n`,
      );
      for (const path of [folder.path, etc]) await chmod(path, 0o755);
      await using systemd = await PrivateSystemd.start(folder.path, at, {
        [releases]: '/run/test-opt',
        [etc]: '/run/test-etc',
        [dirname(process.execPath)]: '/run/test-node',
      });
      const property = async (name: string) => (await systemd.systemctl('show', 'ruffinweb', '-P', name)).trim();
      const ready = () =>
        until(
          'it is ready',
          async () =>
            (
              await clientOf(url)
                .get('/readyz')
                .catch(() => undefined)
            )?.status === 200,
          60_000,
        ).catch(async (error) => {
          throw new Error(`${error.message}\n${await systemd.systemctl('status', 'ruffinweb')}`);
        });
      await systemd.systemctl('start', '--no-block', 'ruffinweb');
      await ready();
      expect((await clientOf(url).post('/api/messages', submission())).status).to.equal(201);
      const limits = await Promise.all(['LimitCORE', 'MemoryMax', 'TasksMax'].map(property));
      expect(limits).to.deep.equal(['0', String(768 * 1024 * 1024), '64']);

      const first = await property('MainPID');
      await systemd.systemctl('kill', '--signal=KILL', 'ruffinweb');
      await until('another one runs', async () => !['0', first].includes(await property('MainPID')), 30_000);
      await ready();
      expect(await db.count('messages')).to.equal(1);

      await systemd.systemctl('stop', 'ruffinweb');
      expect([await property('Result'), await property('ExecMainStatus')]).to.deep.equal(['success', '0']);
    });
  });
