import { execFile } from 'node:child_process';
import { readFileSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const thisTree = fileURLToPath(new URL('../..', import.meta.url));

/** Another commit of this repository, ready to run in a folder of its own. */
export interface Checkout extends AsyncDisposable {
  readonly root: string;
  /** The commit's short hash. */
  readonly hash: string;
}

/** Checks a commit out as a git worktree in `folder`, with this tree's installed packages. */
export async function checkOut(commit: string, folder: string): Promise<Checkout> {
  const git = async (...args: string[]) => (await run('git', args, { cwd: thisTree })).stdout.trim();
  const hash = await git('rev-parse', '--short', '--verify', `${commit}^{commit}`);
  const root = join(folder, 'checkout');
  await git('worktree', 'add', '--detach', root, hash);
  const packages = join(root, 'node_modules');
  symlinkSync(join(thisTree, 'node_modules'), packages);
  const lockFileOf = (tree: string) => readFileSync(join(tree, 'package-lock.json'), 'utf8');
  if (lockFileOf(root) !== lockFileOf(thisTree)) {
    console.log(`  ${hash} has another package-lock.json, but runs here with this tree's packages`);
  }
  return {
    root,
    hash,
    async [Symbol.asyncDispose]() {
      unlinkSync(packages);
      await git('worktree', 'remove', '--force', root);
    },
  };
}
