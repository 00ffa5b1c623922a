import { basename, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { type EnvFile, parseEnvFile } from '../config/env-file.ts';
import { withSecretFiles } from '../config/secret-files.ts';
import { readTextFile, TextFileFault } from '../text-file.ts';
import { createProgram } from './program.ts';
import { exitCode } from './session/exit-codes.ts';
import { Signals } from './session/signals.ts';
import type { Deps, Settings } from './terminal/deps.ts';
import { writeToStderr } from './terminal/output.ts';

/**
 * Runs the command of this process. Only this file reads the environment or ends the process. Normally it sets the exit
 * code and lets the process finish, since exiting would lose output that is still in a pipe's buffer.
 */
export async function main(): Promise<void> {
  let program: Command | undefined;
  const signals = new Signals(() => {
    // Over the ^C that the terminal shows. A pipe that nobody reads could keep the process here.
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[Kstopped: ${nameOf(program)}\n`);
    process.exit(exitCode.interrupted);
  });
  guardStreams();
  process.on('uncaughtException', (error) => {
    // The state is unknown, so exit without cleaning up, even if the error cannot be logged.
    void reportFailure(error).then(
      (code) => process.exit(code),
      () => process.exit(exitCode.ourFault),
    );
  });
  try {
    program = createProgram(depsOfProcess(signals));
    await program.parseAsync(process.argv);
  } catch (error) {
    // An interrupted command fails; that error is not interesting.
    if (!signals.isInterrupted) process.exitCode = await reportFailure(error);
  } finally {
    signals.forgetSteps();
    if (signals.isInterrupted) process.exitCode = exitCode.interrupted;
    limitLastWrites(signals);
  }
}

/** `ruffinweb emails list`: the command without what it was given, which may be secret. */
function nameOf(program: Command | undefined): string {
  let [name, at] = ['ruffinweb', program];
  for (const word of process.argv.slice(2)) {
    const found = at?.commands.find((it) => it.name() === word);
    if (found) [name, at] = [`${name} ${word}`, found];
  }
  return name;
}

/** How long output that nobody reads may keep the process alive, in milliseconds. */
const lastWritesMs = 2000;

/** A pipe with text that nobody reads would keep the process alive for ever. Only a command's data waits for its reader. */
function limitLastWrites(signals: Signals): void {
  const exitIfOver = () => {
    if (signals.wasAskedToStop || process.stdout.writableLength === 0) process.exit();
  };
  setTimeout(exitIfOver, lastWritesMs).unref();
}

function depsOfProcess(signals: Signals): Deps {
  let settings: Settings | undefined;
  return {
    // Node opens stdin at the first use, and few commands use it.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    calledAs: calledAs(process.argv[1] ?? ''),
    // Once: it copies `.env` into the environment, and would find everything there the next time.
    readSettings() {
      settings ??= readSettings();
      return settings;
    },
    stopGently: () => signals.stopGently(),
    stopInSteps: () => signals.stopInSteps(),
    endFirst: (end) => signals.endFirst(end),
    setExitCode(code) {
      process.exitCode = code;
    },
  };
}

/** The name of an installed program; in a clone, its path. */
function calledAs(program: string): string {
  if (basename(program) === 'ruffinweb') return 'ruffinweb';
  const path = relative(process.cwd(), program);
  return path.startsWith('..') ? program : `./${path}`;
}

/**
 * The environment comes first, then the `.env` file, then secret files. `RUFFINWEB_ENV` names another file than `.env`,
 * for operators who run commands outside the service's folder; relative paths in it start at the operator's folder.
 */
function readSettings(): Settings {
  const given = { ...process.env };
  const file = given.RUFFINWEB_ENV || '.env';
  const read = readEnvFile(file);
  // Libraries read some of them from the environment, such as PGPASSWORD. TZ is the terminal's alone.
  for (const [name, value] of Object.entries(read.values)) if (name !== 'TZ') process.env[name] ??= value;
  const filled = { ...process.env };
  const { values, faults } = withSecretFiles(filled, readTextFile);
  return {
    file,
    values,
    faults,
    warnings: read.warnings,
    sourceOf(name) {
      if (given[name]?.trim()) return 'environment';
      if (filled[name]?.trim()) return '.env';
      return values[name] ? 'file' : 'default';
    },
  };
}

/** A file that does not exist is empty. */
function readEnvFile(file: string): EnvFile {
  try {
    return parseEnvFile(resolve(file), readTextFile(resolve(file)));
  } catch (error) {
    if (error instanceof TextFileFault) throw error;
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw new SettingsUnreadable(file, error as Error);
    return { values: {}, warnings: [] };
  }
}

class SettingsUnreadable extends Error {
  override readonly name = 'SettingsUnreadable';

  constructor(file: string, cause: Error) {
    super(`the settings file ${resolve(file)} cannot be read: ${cause.message}`, { cause });
  }
}

/**
 * A reader that stops early (`| head`) is no error; the rest of the output is dropped. A full disk is an error, since a
 * script could mistake half of the output for all of it.
 */
function guardStreams(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    process.exitCode = exitCode.refused;
    process.stderr.write(`ruffinweb: the output cannot be written: ${error.message}\n`);
  });
  process.stderr.on('error', () => {});
}

/** Reports the error on stderr, and an unexpected one also in the log. @returns the exit code. */
async function reportFailure(error: unknown): Promise<number> {
  // Commander has printed its errors already.
  const code = codeOfCommander(error);
  if (code !== undefined) return code;
  const { describeFailure } = await import('./session/failures.ts');
  const failure = describeFailure(error);
  if (failure.message !== undefined) writeToStderr(process, `ruffinweb: ${failure.message}`);
  else await reportUnexpected(error);
  return failure.exitCode;
}

async function reportUnexpected(error: unknown): Promise<void> {
  const errorId = crypto.randomUUID().slice(0, 8);
  const { createLog } = await import('../log.ts');
  const format = process.env.LOG_FORMAT ?? (process.stderr.isTTY ? 'pretty' : 'json');
  const log = createLog({ level: 'error', format: format === 'pretty' ? 'pretty' : 'json' });
  log.error({ errorId, err: error }, 'unexpected error');
  process.stderr.write(`ruffinweb: this should not have happened; see error ${errorId} in the log line above\n`);
}

/** Exit code 0 for the help and version that were asked for, 2 for other errors of commander. */
function codeOfCommander(error: unknown): number | undefined {
  const { code, exitCode: ofCommander } = (error ?? {}) as { code?: unknown; exitCode?: unknown };
  if (typeof code !== 'string' || !code.startsWith('commander.')) return undefined;
  return ofCommander === 0 ? exitCode.done : exitCode.misused;
}
