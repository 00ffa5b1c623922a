import { readFileSync } from 'node:fs';
import { basename, relative, resolve } from 'node:path';
import { withSecretFiles } from '../config/secret-files.ts';
import { createProgram } from './program.ts';
import { exitCode } from './session/exit-codes.ts';
import { Signals } from './session/signals.ts';
import type { Deps, Settings } from './terminal/deps.ts';
import { safeLines, widthOf } from './terminal/output.ts';

/**
 * Runs the command that this process was started for. The only place that reads the process's environment, and
 * the only one that may end it; as a rule it sets the exit code and lets the process run out, since what stands
 * in a pipe's buffer is lost otherwise.
 */
export async function main(): Promise<void> {
  const signals = new Signals(() => process.exit(exitCode.interrupted));
  guardStreams();
  process.on('uncaughtException', (error) => {
    // Nothing is known to be whole any more, so nothing is tidied up.
    void reportFailure(error).then(
      (code) => process.exit(code),
      // Where even the log cannot be had, ending is all that is left.
      () => process.exit(exitCode.ourFault),
    );
  });
  try {
    await createProgram(depsOfProcess(signals)).parseAsync(process.argv);
  } catch (error) {
    // A command that is interrupted fails at what it was doing.
    if (!signals.isInterrupted) process.exitCode = await reportFailure(error);
  } finally {
    signals.letGo();
    if (signals.isInterrupted) process.exitCode = exitCode.interrupted;
  }
}

function depsOfProcess(signals: Signals): Deps {
  return {
    // Node opens it when it is first asked for, and few commands read it.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    calledAs: calledAs(process.argv[1] ?? ''),
    readSettings,
    stopGently: () => signals.stopGently(),
    stopInSteps: () => signals.stopInSteps(),
    endFirst: (end) => signals.endFirst(end),
    setExitCode(code) {
      process.exitCode = code;
    },
  };
}

/** By its name where it is installed; in a clone by its path. */
function calledAs(program: string): string {
  if (basename(program) === 'ruffinweb') return 'ruffinweb';
  const path = relative(process.cwd(), program);
  return path.startsWith('..') ? program : `./${path}`;
}

/**
 * An `.env` file fills in what the environment lacks; secret files fill in what is lacking then. `RUFFINWEB_ENV` names
 * the file, for operators who run commands from another folder than the service's: relative paths start at their folder.
 */
function readSettings(): Settings {
  const given = { ...process.env };
  const file = given.RUFFINWEB_ENV || '.env';
  try {
    process.loadEnvFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw new SettingsUnreadable(file, error as Error);
  }
  const filled = { ...process.env };
  const { values, faults } = withSecretFiles(filled, (path) => readFileSync(path, 'utf8'));
  return {
    file,
    values,
    faults,
    sourceOf(name) {
      if (given[name]) return 'environment';
      if (filled[name]) return '.env';
      return values[name] ? 'file' : 'default';
    },
  };
}

class SettingsUnreadable extends Error {
  override readonly name = 'SettingsUnreadable';

  constructor(file: string, cause: Error) {
    super(`the settings file ${resolve(file)} cannot be read: ${cause.message}`, { cause });
  }
}

/**
 * A reader that has seen enough (`| head`) is no fault: what is written from then on is dropped. A full disk is
 * one, since a script that reads the file would take half of the answer for the whole.
 */
function guardStreams(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    process.exitCode = exitCode.refused;
    process.stderr.write(`ruffinweb: the output cannot be written: ${error.message}\n`);
  });
  process.stderr.on('error', () => {});
}

/** Says what went wrong, in one line for the operator and, for what we did not expect, one in the log. */
async function reportFailure(error: unknown): Promise<number> {
  // Commander has told the operator already.
  const code = codeOfCommander(error);
  if (code !== undefined) return code;
  const { describeFailure } = await import('./session/failures.ts');
  const failure = describeFailure(error);
  if (failure.message !== undefined) {
    const width = widthOf(process, process.stderr);
    for (const line of safeLines(`ruffinweb: ${failure.message}`, width)) process.stderr.write(`${line}\n`);
    return failure.exitCode;
  }
  const errorId = crypto.randomUUID().slice(0, 8);
  const { createLog } = await import('../log.ts');
  const format = process.env.LOG_FORMAT ?? (process.stderr.isTTY ? 'pretty' : 'json');
  createLog({ level: 'error', format: format === 'pretty' ? 'pretty' : 'json' }).error(
    { errorId, err: error },
    'unexpected error',
  );
  process.stderr.write(
    `ruffinweb: something went wrong that should not have; the log line with error ${errorId} says what\n`,
  );
  return failure.exitCode;
}

/** Help and version that were asked for are no failure; everything else that commander throws is a misuse. */
function codeOfCommander(error: unknown): number | undefined {
  const { code, exitCode: ofCommander } = (error ?? {}) as { code?: unknown; exitCode?: unknown };
  if (typeof code !== 'string' || !code.startsWith('commander.')) return undefined;
  return ofCommander === 0 ? exitCode.done : exitCode.misused;
}
