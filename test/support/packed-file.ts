import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

const variable = 'RUFFINWEB_TEST_PACKED';

let packed: Promise<string> | undefined;

/** The file that `npm pack` makes of this clone. Made once per run, since it takes seconds; removed at the end. */
export async function packedFile(): Promise<string> {
  const given = process.env[variable];
  if (given !== undefined) return given;
  packed ??= pack();
  return await packed;
}

/**
 * Packs before the first test, if a run names this file in `--require`. Packing changes the clone's package.json for a
 * moment, so with `--parallel` no test may run beside it. Test files find the packed file by the environment.
 */
export async function mochaGlobalSetup(): Promise<void> {
  process.env[variable] = await packedFile();
}

async function pack(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ruffinweb-packed-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: root,
    maxBuffer: 2 ** 24,
  });
  // The scripts before and after packing write to the same output.
  const [, filename = ''] = /"filename": "([^"]+)"/.exec(stdout) ?? [];
  return join(folder, filename);
}

/**
 * Installs a packed file like `npm install --global`, below `prefix` and without contacting a registry.
 *
 * @returns the path of the command.
 */
export async function installPacked(file: string, prefix: string): Promise<string> {
  await mkdir(prefix, { recursive: true });
  const cache = join(prefix, 'empty-cache');
  const options = ['--omit=optional', '--offline', '--no-audit', '--no-fund', `--cache=${cache}`];
  await run('npm', ['install', '--global', `--prefix=${prefix}`, ...options, file], { cwd: prefix });
  await rm(cache, { recursive: true, force: true });
  return join(prefix, 'bin', 'ruffinweb');
}
