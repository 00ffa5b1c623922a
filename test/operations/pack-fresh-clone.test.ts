import { execFile } from 'node:child_process';
import { access, cp, mkdir, readFile } from 'node:fs/promises';
import { delimiter, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { rootFolder } from '../support/documents.ts';
import { temporaryFolder } from '../support/program.ts';

const notInClone = /^(?:\.git|\.env|node_modules|data|dist|.*\.tgz)(?:\/|$)/;

/** The environment of someone who never ran `npm ci` here: the machine's own Node, maybe outdated, and no settings. */
function freshEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^npm_|^NODE/i.test(name));
  const path = (process.env.PATH ?? '').split(delimiter).filter((it) => !it.includes('node_modules'));
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter), npm_config_prefer_offline: 'true' };
}

describe('npm pack in a fresh clone', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let clone: string;
  let wholeManifest: string;

  before(async () => {
    folder = await temporaryFolder();
    clone = join(folder.path, 'clone');
    await cp(rootFolder, clone, {
      recursive: true,
      filter: (source) => !notInClone.test(relative(rootFolder, source)),
    });
    wholeManifest = await readManifest();
  });
  after(() => folder[Symbol.asyncDispose]());

  const readManifest = () => readFile(join(clone, 'package.json'), 'utf8');
  const npm = (...args: string[]) =>
    promisify(execFile)('npm', args, { cwd: clone, env: freshEnvironment(), maxBuffer: 2 ** 24 });

  it('installs first, even in a dry run', async () => {
    const { stderr } = await npm('pack', '--dry-run', '--json');
    expect(stderr).to.include('Installing').and.include('This happens once');
    await access(join(clone, 'node_modules/.bin/esbuild'));
    await access(join(clone, 'dist/cli/main.js'));
    expect(await readManifest()).to.equal(wholeManifest);
  });

  it('prints only the file name with --silent', async () => {
    const { stdout } = await npm('pack', '--silent');
    const { version } = JSON.parse(wholeManifest);
    expect(stdout).to.equal(`ruffinweb-backend-${version}.tgz\n`);
    await access(join(clone, stdout.trim()));
    expect(await readManifest()).to.equal(wholeManifest);
  });

  it('restores a manifest that a failed run left shortened', async () => {
    const missing = join(folder.path, 'missing');
    const failed = await npm('pack', '--pack-destination', missing).catch((error: unknown) => error);
    expect(failed).to.be.an('error');
    expect(JSON.parse(await readManifest()), 'npm gave up before postpack').to.not.have.property('dependencies');

    await mkdir(missing);
    const { stdout } = await npm('pack', '--silent', '--pack-destination', missing);
    expect(await readManifest()).to.equal(wholeManifest);
    const packed = join(missing, stdout.trim());
    const { stdout: manifest } = await promisify(execFile)('tar', ['-xzOf', packed, 'package/package.json']);
    expect(JSON.parse(manifest)).to.not.have.any.keys('dependencies', 'devDependencies');
  });
});
