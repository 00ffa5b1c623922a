import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTextFile } from '../../../text-file.ts';
import { Interrupted, Refusal } from '../../terminal/confirm.ts';
import type { Deps } from '../../terminal/deps.ts';

const cutLine = '# ------------------------ >8 ------------------------';

/** Below the visitor's text: vim runs settings that it finds in the first and last five lines of a file. */
const end = '\n'.repeat(6);

/**
 * Lets the operator write a text in their editor, in a file that nobody else can read. The file is removed, unless there is a
 * text and `use` failed or did not store it: then it is kept, and its path is printed.
 *
 * @param below what the file shows below the cut line.
 * @param use returns whether the text is stored.
 * @throws {Refusal} if the editor failed, or the text is empty.
 * @throws {Interrupted}
 */
export async function editText(
  deps: Deps,
  { fileName, below, whenKept }: { fileName: string; below: string; whenKept: (path: string) => string },
  use: (text: string) => Promise<boolean>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ruffinweb-'));
  const path = join(folder, fileName);
  let keeps = false;
  try {
    await writeFile(path, `\n\n${cutLine}\n${below}\n${end}`, { mode: 0o600, flag: 'wx' });
    const stop = deps.stopGently();
    const failure = await runEditor(deps, path);
    // Nobody reads it again here if it is no UTF-8, or lost its cut line.
    keeps = true;
    const text = readAboveCut(path);
    keeps = text.trim() !== '';
    if (keeps) await writeFile(path, text);
    if (stop.aborted) throw new Interrupted();
    if (failure !== undefined) throw new Refusal(`${failure}: nothing was sent`);
    if (!keeps) throw new Refusal('the text is empty: nothing was sent');
    keeps = !(await use(text));
  } finally {
    if (keeps) deps.stderr.write(`${whenKept(path)}\n`);
    else await rm(folder, { recursive: true, force: true });
  }
}

/** @returns why it failed, or undefined. */
async function runEditor({ env }: Deps, path: string): Promise<string | undefined> {
  // As git does it: the variable may hold options, or a path with quoted spaces.
  const editor = env.VISUAL || env.EDITOR || 'vi';
  const child = spawn('sh', ['-c', `${editor} "$@"`, editor, path], { stdio: 'inherit' });
  return await new Promise((resolve) => {
    child.on('error', (error) => resolve(`the editor cannot be started: ${error.message}`));
    child.on('close', (code, signal) => {
      const hint = code === 126 || code === 127 ? ', so set VISUAL or EDITOR' : '';
      resolve(code === 0 ? undefined : `the editor "${editor}" ended with ${signal ?? `exit code ${code}`}${hint}`);
    });
  });
}

/** @throws {Refusal} without the cut line: what is below it must not be sent. @throws {TextFileFault} */
function readAboveCut(path: string): string {
  const lines = readTextFile(path).split('\n');
  const cut = lines.indexOf(cutLine);
  if (cut < 0) throw new Refusal(`the line with >8 is gone, which ends the text: nothing was sent`);
  return lines.slice(0, cut).join('\n');
}
