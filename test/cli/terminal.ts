import { spawn } from 'node:child_process';
import { PassThrough } from 'node:stream';
import { createProgram } from '../../src/cli/program.ts';
import { describeFailure } from '../../src/cli/session/failures.ts';
import type { Deps, SettingSource } from '../../src/cli/terminal/deps.ts';
import { safeLines } from '../../src/cli/terminal/output.ts';
import { programPath } from '../support/built-program.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Finished, type Settings, testKeys } from '../support/program.ts';

/** What a command wrote, and its exit code. */
export interface Screen {
  stdout: string;
  stderr: string;
  code: number;
}

interface Surroundings {
  /** Output goes to a terminal with so many columns; without it, to a pipe. */
  columns?: number;
  env?: Settings;
  /** What the user types if the command asks. */
  types?: string;
  /** What another program writes to its stdin. */
  input?: string | Buffer;
  settings?: Settings;
  files?: SettingFiles;
  /** Where settings come from, if not from the environment. */
  sources?: Partial<Record<string, SettingSource>>;
  /** Aborted after Ctrl-C. */
  stop?: AbortSignal;
}

/** The `.env` file that secrets came from, and other files by the name of the secret. */
export interface SettingFiles {
  file?: string;
  secrets?: Settings;
}

/**
 * Runs one command in this process if that is enough: starting a process costs half a second. Everything but
 * `main.ts` is the real code.
 */
export async function runHere(
  args: readonly string[],
  db: Pick<TestDatabase, 'url'>,
  options: Surroundings = {},
): Promise<Screen> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const terminal = options.columns === undefined ? {} : { isTTY: true, columns: options.columns };
  let code = 0;
  const deps: Deps = {
    stdin: Object.assign(stdin, terminal),
    stdout: Object.assign(stdout, terminal),
    stderr: Object.assign(stderr, terminal),
    env: options.env ?? {},
    calledAs: 'ruffinweb',
    readSettings: () => ({
      file: options.files?.file ?? '.env',
      values: {
        DATABASE_URL: db.url,
        ENCRYPTION_KEYS: testKeys,
        LOG_LEVEL: 'silent',
        ...options.settings,
        ...Object.fromEntries(
          Object.entries(options.files?.secrets ?? {}).map(([name, path]) => [`${name}_FILE`, path]),
        ),
      },
      faults: [],
      warnings: [],
      sourceOf: (name) => {
        if (options.sources?.[name]) return options.sources[name];
        if (options.files?.secrets?.[name]) return 'file';
        if (options.settings?.[name] === '') return 'default';
        return options.files?.file ? '.env' : 'environment';
      },
    }),
    stopGently: () => options.stop ?? new AbortController().signal,
    stopInSteps: () => ({ stop: new AbortController().signal, hasten: new AbortController().signal }),
    endFirst: () => {},
    setExitCode: (it) => {
      code = it;
    },
  };
  if (options.types !== undefined) stdin.write(options.types);
  if (options.input !== undefined) stdin.end(options.input);
  try {
    await createProgram(deps).parseAsync(['node', 'ruffinweb', ...args]);
  } catch (error) {
    const failure = describeFailure(error);
    const { code: told, exitCode } = error as { code?: unknown; exitCode?: unknown };
    if (String(told).startsWith('commander.')) code = exitCode === 0 ? 0 : 2;
    else if (failure.message === undefined) throw error;
    else {
      // As main.ts writes it.
      stderr.write(safeLines(failure.message).join('\n'));
      code = failure.exitCode;
    }
  }
  const text = (stream: PassThrough) => (stream.read() as Buffer | null)?.toString('utf8') ?? '';
  return { stdout: text(stdout), stderr: text(stderr), code };
}

/** Without colours: the text a person reads. */
export function withoutColours(text: string): string {
  // biome-ignore lint/complexity/useRegexLiterals: readable only so
  return text.replace(new RegExp('\u001b\\[\\d+m', 'g'), '');
}

/** The program as a process in its own folder, where an `.env` file would be. */
export async function runIn(folder: string, args: readonly string[], settings: Settings = {}): Promise<Finished> {
  const child = spawn(process.execPath, [programPath(), ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TZ: 'UTC', ...settings },
  });
  child.stdin.end();
  const chunks = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    chunks.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    chunks.stderr += text;
  });
  return await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...chunks }));
  });
}
