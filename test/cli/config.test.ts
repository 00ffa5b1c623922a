import { chmod, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { readConfig } from '../../src/config/read-config.ts';
import { variableNames } from '../../src/config/variables.ts';
import { temporaryFolder } from '../support/program.ts';
import { runHere, runIn } from './terminal.ts';

describe('config', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  beforeEach(async () => {
    folder = await temporaryFolder();
  });
  afterEach(async () => {
    await folder[Symbol.asyncDispose]();
  });
  const run = (args: string, settings: Record<string, string> = {}) =>
    runIn(folder.path, ['config', ...args.split(' ')], settings);
  const keysIn = async (file: string) =>
    /^ENCRYPTION_KEYS=(.*)$/m.exec(await readFile(join(folder.path, file), 'utf8'))?.[1];

  it('init writes a private file with all settings and fresh keys', async () => {
    const { code, stdout, stderr } = await run('init');
    expect(code).to.equal(0);
    const file = join(folder.path, '.env');
    expect(stdout).to.equal(`written  ${file}\n`);
    expect(stderr).to.include('a lost key is lost data').and.to.include('apart from the backups of the database');
    expect(stderr).to.match(/\nNext: change \S+\/\.env to your needs, and start the server: \S+ serve --migrate\n$/);
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    const text = await readFile(file, 'utf8');
    for (const name of variableNames) expect(text).to.match(new RegExp(`^#?${name}=`, 'm'));
    expect(readConfig({ ENCRYPTION_KEYS: await keysIn('.env') }).encryptionKeys?.reveal()[0]?.secret).to.have.lengthOf(
      32,
    );

    const shown = JSON.parse((await run('show --json')).stdout);
    expect(shown.items.map((it: { name: string }) => it.name)).to.deep.equal(variableNames);
    const keys = shown.items.find((it: { name: string }) => it.name === 'ENCRYPTION_KEYS');
    expect(keys).to.include({ source: '.env', secret: true });
    expect(keys.value).to.match(/^k\d{8}-\d{6}:\*\*\*$/);
  });

  it('init never overwrites a file and never loses a key', async () => {
    await run('init');
    const keys = await keysIn('.env');
    const again = await run('init');
    expect(again).to.include({ code: 1, stdout: '' });
    expect(again.stderr).to.include('--force');
    expect(await keysIn('.env')).to.equal(keys);

    const forced = JSON.parse((await run('init --force --json')).stdout);
    expect(await keysIn('.env')).to.equal(keys);
    expect(await readdir(folder.path)).to.have.members(['.env', forced.replaced.split('/').at(-1)]);
    expect(forced.keysFrom).to.equal(join(folder.path, '.env'));
  });

  it('init names the file it cannot write if .env is a broken link', async () => {
    await symlink(join(folder.path, 'nothing', '.env'), join(folder.path, '.env'));
    const { code, stdout, stderr } = await run('init');
    expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' });
    expect(stderr).to.match(/^ruffinweb: \S+\/\.env cannot be used: EEXIST: [^\n]*\n$/);
  });

  it('check and show list an unreadable secret file', async () => {
    const settings = { ENCRYPTION_KEYS_FILE: '/nope', PORT: 'x' };
    const checked = await run('check', settings);
    expect(checked.code).to.equal(2);
    expect(checked.stderr)
      .to.include('ENCRYPTION_KEYS is missing: ENCRYPTION_KEYS_FILE names /nope, which cannot be read: ENOENT')
      .and.include('PORT must be');
    const { faults } = JSON.parse((await run('check --json', settings)).stdout);
    expect(faults.map((it: { variable: string }) => it.variable)).to.deep.equal(['PORT', 'ENCRYPTION_KEYS']);
    const shown = await run('show --json', settings);
    expect(shown.code).to.equal(2);
    expect(shown.stderr).to.include('/nope');
    expect(JSON.parse(shown.stdout).items).to.not.deep.equal([]);
  });

  it('init keeps the keys of a server without settings', async () => {
    const keys = `k1:${Buffer.alloc(32, 7).toString('base64')}`;
    await writeFile(join(folder.path, 'encryption.keys'), `${keys}\n`);
    expect((await run('init', { DATA_DIR: folder.path })).stderr).to.include('encryption.keys');
    expect(await keysIn('.env')).to.equal(keys);
  });

  it('show masks secrets and names the source of each setting', async () => {
    await writeFile(join(folder.path, '.env'), 'PORT=4000\nHOST=0.0.0.0\n');
    await writeFile(join(folder.path, 'password'), 'from:file\n');
    const settings = {
      PORT: '5000',
      DATABASE_URL: 'postgresql://user:hunter2@db.example.test/x?sslmode=require',
      SMTP_USER: 'a@example.test',
      SMTP_PASSWORD_FILE: join(folder.path, 'password'),
      ENCRYPTION_KEYS: `new:${Buffer.alloc(32).toString('base64')},old:${Buffer.alloc(32, 1).toString('base64')}`,
    };
    const [masked, revealed] = await Promise.all([run('show', settings), run('show --reveal --json', settings)]);
    expect(masked.code).to.equal(0);
    expect(masked.stdout).to.not.match(/hunter2|from:file|AAAA/);
    const rows = Object.fromEntries(
      masked.stdout.split('\n').map((line) => [line.split(' ')[0], line.split(/ {2,}/).slice(1)]),
    );
    expect(rows.PORT).to.deep.equal(['5000', 'environment']);
    expect(rows.HOST).to.deep.equal(['0.0.0.0', '.env']);
    expect(rows.DATABASE_URL).to.deep.equal(['postgresql://user:***@db.example.test/x?sslmode=require', 'environment']);
    expect(rows.SMTP_PASSWORD).to.deep.equal(['***', 'secret file']);
    expect(rows.ENCRYPTION_KEYS).to.deep.equal(['new:***,old:***', 'environment']);
    expect(rows.NOTIFY_TO).to.deep.equal(['owner@localhost', 'default']);
    for (const url of [
      'postgresql://u@h/x?password=hunter2&hunter2',
      'postgresql:///u:hunter2@h/x',
      'postgres:u:hunter2@h/x',
    ]) {
      const faulty = await runHere(['config', 'show'], { url });
      expect(faulty.stdout + faulty.stderr)
        .to.match(/DATABASE_URL +\*\*\* /)
        .and.not.include('hunter2');
    }
    for (const [given, shown] of [
      ['redis.example.test/?password=hunter2', 'redis.example.test/?***'],
      ['hunter2@redis.example.test', '***@redis.example.test'],
    ]) {
      const settings = { REDIS_URL: `redis://${given}` };
      expect((await runHere(['config', 'check'], { url: 'embedded' }, { settings })).stderr)
        .to.include(`REDIS_URL=rediss://${shown}`)
        .and.not.include('hunter2');
    }
    const items: { name: string; value: string }[] = JSON.parse(revealed.stdout).items;
    expect(items.find((it) => it.name === 'SMTP_PASSWORD')).to.deep.equal({
      name: 'SMTP_PASSWORD',
      value: 'from:file',
      fallback: '',
      source: 'file',
      secret: true,
    });
  });

  it('show lists the value in force where a setting has a default', async () => {
    const settings = { PORT: '5000', DATA_DIR: '/srv/forms', MAIL_FROM: 'Ada <ada@example.test>' };
    const [table, json, faulty] = await Promise.all([
      run('show', settings),
      run('show --json', settings),
      run('show --json', { PORT: 'x' }),
    ]);
    const valuesOf = (stdout: string): Record<string, string | null> =>
      Object.fromEntries(JSON.parse(stdout).items.map((it: { name: string; value: string }) => [it.name, it.value]));
    expect(valuesOf(json.stdout)).to.include({
      PUBLIC_URL: 'http://localhost:5000',
      ALLOWED_HOSTS: 'localhost, 127.0.0.1, ::1',
      ALLOWED_ORIGINS: 'http://localhost:5000, any loopback origin',
      DATABASE_URL: 'embedded',
      LOG_FORMAT: 'json',
      SMTP_HOST: null,
      ENCRYPTION_KEYS: null,
    });
    expect(table.stdout).to.not.match(/\$PORT|that of PUBLIC_URL/);
    expect(table.stdout).to.match(/^SMTP_HOST +\.eml files in \/srv\/forms\/mail +default$/m);
    expect(table.stdout).to.match(/^SMTP_USER +\(not set\) +default$/m);
    expect(faulty.code).to.equal(0);
    expect(valuesOf(faulty.stdout)).to.include({ PORT: 'x', PUBLIC_URL: null });
  });

  it('check lists every error and exits 2', async () => {
    const [good, bad, json, unreadable] = await Promise.all([
      run('check'),
      run('check', { NODE_ENV: 'production', PORT: 'x' }),
      run('check --json', { PORT: 'x' }),
      run('check', { SMTP_PASSWORD_FILE: '/nowhere' }),
    ]);
    expect(good).to.include({ code: 0, stdout: 'the configuration is right\n' });
    expect(bad).to.include({ code: 2, stdout: '' });
    expect(bad.stderr)
      .to.match(/PORT must be/)
      .and.to.match(/PUBLIC_URL is required in production/);
    expect(json.code).to.equal(2);
    expect(JSON.parse(json.stdout)).to.deep.equal({
      ok: false,
      faults: [{ variable: 'PORT', wrong: 'must be a whole number from 0 to 65535' }],
      warnings: [],
      unknown: [],
    });
    expect(unreadable.code).to.equal(2);
    expect(unreadable.stderr).to.include('SMTP_PASSWORD_FILE names /nowhere');
  });

  it('check warns about unknown names in the file only', async () => {
    await writeFile(join(folder.path, '.env'), 'ALOWED_ORIGINS=https://a.test\nSMTP_PASSWORD_FILE=\nPORT=0\n');
    const warned = await run('check', { AROUND: 'x' });
    expect(warned).to.include({ code: 0, stdout: 'the configuration is right\n' });
    expect(warned.stderr).to.match(/^.*ALOWED_ORIGINS in \S+ is not a setting: is it misspelt\?\n$/);
    expect(JSON.parse((await run('check --json')).stdout)).to.deep.equal({
      ok: true,
      faults: [],
      warnings: [],
      unknown: ['ALOWED_ORIGINS'],
    });
  });

  it('check warns about clear text, and exits 0', async () => {
    const settings = { PUBLIC_URL: 'http://forms.example.com', REDIS_URL: 'redis://:canary@r.example' };
    const [text, json] = [await run('check', settings), await run('check --json', settings)];
    expect(text).to.include({ code: 0, stdout: 'the configuration is right\n' });
    expect(text.stderr).to.match(/^PUBLIC_URL is http:.*https:\/\/forms\.example\.com/);
    expect(text.stderr)
      .to.match(/^REDIS_URL .*set REDIS_URL=rediss:/m)
      .and.not.include('canary');
    const { ok, warnings } = JSON.parse(json.stdout);
    expect([ok, warnings.map((it: { variable: string }) => it.variable)]).to.deep.equal([
      true,
      ['PUBLIC_URL', 'REDIS_URL'],
    ]);
  });

  it('the file may have a byte order mark, and every line must mean something', async () => {
    const file = join(folder.path, '.env');
    const keys = `k1:${Buffer.alloc(32, 7).toString('base64')}`;
    await writeFile(
      file,
      `\uFEFFENCRYPTION_KEYS=${keys}\r\nSMTP_USER= \r\nSMTP_PASSWORD=ab#cd\r\nMAIL_FROM=" a@b.test "\r\n`,
    );
    const shown = JSON.parse((await run('show --json --reveal')).stdout).items;
    expect(shown.find((it: { name: string }) => it.name === 'ENCRYPTION_KEYS').value).to.equal(keys);
    const checked = await run('check');
    expect(checked).to.include({ code: 0, stdout: 'the configuration is right\n' });
    expect(checked.stderr.split('\n')).to.deep.equal([
      `${file}, line 3: the value of SMTP_PASSWORD ends before the #; if the # belongs to it, use quotes`,
      'MAIL_FROM has spaces at its start or end, which are left out',
      '',
    ]);
    await run('init --force');
    expect(await keysIn('.env')).to.equal(keys);

    await writeFile(file, 'PORT=0\nNODE_ENV: production\n');
    const refused = await runIn(folder.path, ['serve']);
    expect(refused).to.include({ code: 2, stdout: '' });
    expect(refused.stderr).to.equal(
      `ruffinweb: ${file}, line 2: is neither NAME=value nor a comment, which starts with #\n`,
    );
    await writeFile(file, Buffer.from('\uFEFFNODE_ENV=production', 'utf16le'));
    expect((await runIn(folder.path, ['migrate', 'check'])).stderr).to.include(`${file}, line 1: is UTF-16`);
  });

  it('names the file and line of secret files that cannot be read', async () => {
    const secret = join(folder.path, 'secret');
    await writeFile(secret, Buffer.from('first\nGrüße', 'latin1'));
    const wrong = await run('check', { SMTP_PASSWORD_FILE: secret });
    expect(wrong.code).to.equal(2);
    expect(wrong.stderr).to.include(`${secret}, line 2: is not UTF-8`);
  });

  it('RUFFINWEB_ENV selects another settings file', async () => {
    await writeFile(join(folder.path, '.env'), 'PORT=4000\nHOST=0.0.0.0\n');
    const other = join(folder.path, 'other.env');
    expect((await run('init', { RUFFINWEB_ENV: other })).stdout).to.equal(`written  ${other}\n`);
    await writeFile(other, 'PORT=5000\n');
    const { items } = JSON.parse((await run('show --json', { RUFFINWEB_ENV: other })).stdout);
    const of = (name: string) => items.find((it: { name: string }) => it.name === name);
    expect([of('PORT').value, of('PORT').source, of('HOST').source]).to.deep.equal(['5000', '.env', 'default']);
  });

  it('is the source of its secrets for every command, so health finds an open .env', async () => {
    const secrets = 'METRICS_TOKEN=0123456789abcdefg\nDATABASE_URL=postgres://127.0.0.1:1/x\n';
    await writeFile(join(folder.path, '.env'), secrets);
    await chmod(join(folder.path, '.env'), 0o644);
    const { stdout } = await runIn(folder.path, ['health', '--json']);
    const files = JSON.parse(stdout).checks.find((it: { name: string }) => it.name === 'files');
    expect(files).to.include({ status: 'warn', fix: 'chmod 600 .env' });
  });

  it('an unreadable .env file is an error, not a missing file', async () => {
    await writeFile(join(folder.path, '.env.real'), '');
    await chmod(folder.path, 0o700);
    const { mkdir } = await import('node:fs/promises');
    // A folder of that name: even root cannot read it as a file.
    await mkdir(join(folder.path, '.env'));
    const { code, stderr } = await run('check');
    expect(code).to.equal(2);
    expect(stderr).to.include('.env');
  });
});
