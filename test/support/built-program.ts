import { cpSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeProgram } from '../../packaging/write-program.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const variable = 'RUFFINWEB_TEST_PROGRAM';

/**
 * Its `bin/ruffinweb.js`, or that of the clone if nobody has built it. A function, because runs without `--parallel` load
 * the test files before they build the program.
 */
export function programPath(): string {
  return process.env[variable] ?? join(root, 'bin/ruffinweb.js');
}

/**
 * Builds the program as it is packed, once for a whole run: started from the sources, each of the thousand commands and
 * servers of the tests would take three times as long. Test files run in processes of their own, which find it by the
 * environment that they inherit.
 */
export async function buildProgram(): Promise<void> {
  const folder = join(root, 'node_modules/.cache/test-program');
  const draft = `${folder}-${process.pid}`;
  mkdirSync(draft, { recursive: true });
  for (const it of ['bin', 'package.json']) cpSync(join(root, it), join(draft, it), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(draft, 'node_modules'));
  await writeProgram(root, join(draft, 'dist'));
  // The same path at each run, so that what V8 compiled of it serves the next one. A program that still runs from the
  // old folder has loaded its files or finds the new ones.
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
  process.env[variable] = join(folder, 'bin/ruffinweb.js');
}
