import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
 * environment that they inherit. Building takes ten seconds of processor time, so a later run uses the same program
 * until something changes that goes into it.
 */
export async function buildProgram(): Promise<void> {
  const folder = join(root, 'node_modules/.cache/test-program');
  const made = madeFrom();
  if (readIfThere(join(folder, 'made-from')) !== made) await buildInto(folder, made);
  process.env[variable] = join(folder, 'bin/ruffinweb.js');
}

async function buildInto(folder: string, made: string): Promise<void> {
  const draft = `${folder}-${process.pid}`;
  mkdirSync(draft, { recursive: true });
  for (const it of ['bin', 'package.json']) cpSync(join(root, it), join(draft, it), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(draft, 'node_modules'));
  // Loaded only here, since it starts the bundler.
  const { writeProgram } = await import('../../packaging/write-program.ts');
  await writeProgram(root, join(draft, 'dist'));
  writeFileSync(join(draft, 'made-from'), made);
  // The same path at each run, so that what V8 compiled of it serves the next one. A program that still runs from the
  // old folder has loaded its files or finds the new ones.
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
}

/** A hash of everything that goes into the program; the packages by their versions, and Node for its modules' names. */
function madeFrom(): string {
  const hash = createHash('sha256').update(process.version);
  for (const path of ['package.json', 'package-lock.json', ...['bin', 'packaging', 'src'].flatMap(filesIn)]) {
    hash.update(`\0${path}\0`).update(readFileSync(join(root, path)));
  }
  return hash.digest('hex');
}

function filesIn(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((it) => it.isFile()).map((it) => join(it.parentPath, it.name).slice(root.length));
  return files.toSorted();
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
