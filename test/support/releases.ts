import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { temporaryFolder } from './program.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Release {
  version: string;
  commit: string;
}

/** Every release before this one, oldest first. A new release adds itself to the list. */
export const earlierReleases = readReleases();

/** The code of an old release, with today's packages beside it. */
export interface UnpackedRelease extends Release, AsyncDisposable {
  /** Its `bin/ruffinweb.js`. */
  program: string;
}

export async function unpackRelease(release: Release): Promise<UnpackedRelease> {
  await requireCommit(release);
  await using opened = new AsyncDisposableStack();
  const folder = opened.use(await temporaryFolder());
  const code = join(folder.path, release.version);
  await mkdir(code);
  const archive = join(folder.path, 'release.tar');
  await run('git', ['archive', '--output', archive, release.commit], { cwd: root });
  await run('tar', ['-xf', archive, '-C', code]);
  await symlink(join(root, 'node_modules'), join(code, 'node_modules'));
  const owned = opened.move();
  return {
    ...release,
    program: join(code, 'bin/ruffinweb.js'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function requireCommit({ version, commit }: Release): Promise<void> {
  try {
    await run('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: root });
  } catch (cause) {
    throw new Error(
      `the code of release ${version} (commit ${commit}) is not in this clone: it needs the whole history (git fetch --unshallow; in GitHub Actions actions/checkout with fetch-depth: 0)`,
      { cause },
    );
  }
}

function readReleases(): Release[] {
  const text = (path: string) => readFileSync(join(root, path), 'utf8');
  const { version } = JSON.parse(text('package.json')) as { version: string };
  const all = JSON.parse(text('test/operations/releases.json')) as Release[];
  return all.filter((it) => it.version !== version);
}
