import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { programPath } from './built-program.ts';
import { type Block, changesTheMachine, rootFolder, scriptOf } from './documents.ts';
import { type Settings, temporaryFolder } from './program.ts';
import { until } from './until.ts';

/** The files of a clone that a reader does not have: output of other runs. */
const notInClone = new Set(['.git', '.env', 'data', 'dist']);

/** Texts of the documents, and their replacements for a reader in this run. */
export type Replacements = ReadonlyMap<string, string>;

/**
 * A reader who follows a page: writes its files and types its commands, in a folder that looks like a clone, with
 * `ruffinweb` in the PATH.
 */
export class Reader implements AsyncDisposable {
  readonly folder: string;
  /** Output of the commands that are still running. */
  readonly output: Buffer[] = [];
  readonly #settings: Settings;
  readonly #opened = new AsyncDisposableStack();

  private constructor(folder: string, settings: Settings) {
    this.folder = folder;
    this.#settings = settings;
  }

  static async open(settings: Settings): Promise<Reader> {
    const folder = await temporaryFolder();
    const reader = new Reader(folder.path, settings);
    reader.#opened.use(folder);
    const path = (...names: string[]) => join(folder.path, ...names);
    for (const name of await readdir(rootFolder)) {
      if (!notInClone.has(name)) await symlink(join(rootFolder, name), path(name));
    }
    await mkdir(path('.path'));
    await mkdir(path('.home'));
    const program = `#!/bin/sh\nexec "${process.execPath}" "${programPath()}" "$@"\n`;
    await writeFile(path('.path', 'ruffinweb'), program);
    await chmod(path('.path', 'ruffinweb'), 0o755);
    return reader;
  }

  /** Follows one block; commands that run until stopped keep running until the end. */
  async follow(block: Block, replacements: Replacements): Promise<void> {
    const replaced = (text: string) =>
      [...replacements].reduce((before, [said, here]) => before.replaceAll(said, here), text);
    if (block.file !== undefined) {
      const file = join(this.folder, block.file);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, replaced(block.text));
      return;
    }
    const script = replaced(scriptOf(block) ?? '');
    if (changesTheMachine(script)) throw new Error(`${block.document}:${block.line} would change this machine`);
    for (const part of partsOf(script)) {
      if (isLasting(part)) await this.#start(part);
      else await this.#run(part, `${block.document}:${block.line}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }

  async #run(script: string, where: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    execFile('bash', ['--norc', '-euo', 'pipefail', '-c', script], this.#surroundings(), (error, stdout, stderr) => {
      if (error === null) resolve();
      else reject(new Error(`${where}: exit code ${error.code}\n${script}\n${stdout}${stderr}`));
    });
    await promise;
  }

  async #start(command: string): Promise<void> {
    const child = spawn('bash', ['--norc', '-c', `exec env ${command}`], {
      ...this.#surroundings(),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        this.output.push(chunk);
      });
    const said = () => Buffer.concat(chunks).toString('utf8');
    this.#opened.defer(() => endOf(child));
    await until(
      `"${command}" serves`,
      () => {
        if (child.exitCode !== null) throw new Error(`"${command}" ended with ${child.exitCode}:\n${said()}`);
        return said().includes('listens on http');
      },
      60_000,
    );
  }

  #surroundings() {
    const home = join(this.folder, '.home');
    const path = [join(this.folder, '.path'), dirname(process.execPath), process.env.PATH].join(':');
    return { cwd: this.folder, env: { PATH: path, HOME: home, NO_COLOR: '1', ...this.#settings } };
  }
}

/** The whole process group: npm starts a shell that starts the server. */
async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('close', resolve));
  process.kill(-child.pid, 'SIGTERM');
  await ended;
}

/** Commands that end are run together as one script; one that keeps running stands alone. */
function partsOf(script: string): string[] {
  const parts: string[] = [];
  let together: string[] = [];
  const close = () => {
    if (together.some((line) => line.trim() !== '')) parts.push(together.join('\n'));
    together = [];
  };
  for (const line of script.split('\n')) {
    if (!isLasting(line)) together.push(line);
    else {
      close();
      parts.push(line);
    }
  }
  close();
  return parts;
}

function isLasting(line: string): boolean {
  return /^\s*(?:npm start|(?:\w+=\S+ )*(?:node )?\S*ruffinweb(?:\.js)? serve\b[^|&;\n]*)\s*(?:#.*)?$/.test(line);
}
