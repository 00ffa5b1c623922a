import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { temporaryFolder, testKeys } from '../support/program.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

describe('deploy/bin/ruffinweb', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let etc: string;
  /** The operator's folder; settings found there are not the service's. */
  let here: string;

  beforeEach(async () => {
    folder = await temporaryFolder();
    [etc, here] = [join(folder.path, 'etc'), join(folder.path, 'here')];
    await mkdir(join(etc, 'credentials'), { recursive: true });
    await mkdir(here);
    await writeFile(join(etc, '.env'), 'PORT=4321\nPUBLIC_URL=https://forms.site.test\n');
    await writeFile(join(etc, 'credentials', 'ENCRYPTION_KEYS'), testKeys);
    await writeFile(join(here, '.env'), 'PORT=1\nHOST=0.0.0.0\n');
  });
  afterEach(async () => {
    await folder[Symbol.asyncDispose]();
  });

  const ruffinweb = (...args: string[]) =>
    run(join(root, 'deploy/bin/ruffinweb'), args, {
      cwd: here,
      env: {
        PATH: `${join(process.execPath, '..')}:${process.env.PATH}`,
        ...{ RUFFINWEB_ETC: etc, RUFFINWEB_RELEASE: root, RUFFINWEB_USER: '', NODE_ENV: 'development' },
        DATA_DIR: join(folder.path, 'data'),
      },
    });
  const sources = async () => {
    const { stdout, stderr } = await ruffinweb('config', 'show', '--json');
    const { items } = JSON.parse(stdout) as { items: { name: string; source: string; value: string }[] };
    return { said: stderr, of: (name: string) => items.find((it) => it.name === name) };
  };

  it("uses the service's settings, and paths of the caller", async () => {
    const { of } = await sources();
    expect(of('PORT')).to.include({ value: '4321', source: '.env' });
    expect(of('HOST')).to.include({ source: 'default' });
    expect(of('ENCRYPTION_KEYS')).to.include({ source: 'environment' });
    await ruffinweb('emails', 'preview', 'notification', '--html', 'out.html');
    expect(await readFile(join(here, 'out.html'), 'utf8')).to.include('<html');
    expect(await readdir(etc)).to.have.members(['.env', 'credentials']);
  });

  it('migrates with the database account that only migrations get', async () => {
    const url = (user: string) => `postgresql://${user}@127.0.0.1:1/x`;
    await mkdir(join(etc, 'migrate'));
    await writeFile(join(etc, 'credentials', 'DATABASE_URL'), url('server'));
    await writeFile(join(etc, 'migrate', 'DATABASE_URL'), url('owner'));
    expect((await sources()).of('DATABASE_URL')?.value).to.equal(url('server'));
    // A URL that is no setting stops the command before it connects, and shows which one it read.
    await writeFile(join(etc, 'migrate', 'DATABASE_URL'), 'mysql://owner');
    const failed = await ruffinweb('migrate', 'check').catch((error) => error);
    expect(failed.code).to.equal(2);
    expect(failed.stderr).to.include('DATABASE_URL must be');
  });

  it('ignores credential files that name no setting, and says so', async () => {
    const strays = ['DATABASE_URL~', 'ENCRYPTION_KEYS.old', 'notes', '1ST'];
    for (const name of strays) await writeFile(join(etc, 'credentials', name), 'stray');
    const { of, said } = await sources();
    expect(of('ENCRYPTION_KEYS')).to.include({ source: 'environment' });
    for (const name of strays) expect(said).to.include(`${join(etc, 'credentials', name)} is left out`);
  });
});
