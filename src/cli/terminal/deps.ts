import type { Readable, Writable } from 'node:stream';
import type { ConfigFault, Environment } from '../../config/config.ts';

/** The parts of the process that commands may use. Only `main.ts` uses the process itself. */
export interface Deps {
  readonly stdin: Readable & { isTTY?: boolean };
  readonly stdout: Writable & { isTTY?: boolean; columns?: number };
  readonly stderr: Writable & { isTTY?: boolean; columns?: number };
  /** The environment, for NO_COLOR, COLUMNS and TERM. Settings come from `readSettings`. */
  readonly env: Environment;
  /** What to type in this folder to call this program again. */
  readonly calledAs: string;
  /** Merges the environment, the `.env` file and secret files. */
  readSettings(): Settings;
  /**
   * After this call, SIGINT (Ctrl-C), SIGTERM or SIGHUP aborts the returned signal, and the command stops soon after. A
   * second one, more than two seconds later, ends the process at once. Without this call, the first one does.
   */
  stopGently(): AbortSignal;
  /** Like `stopGently`, for a command that waits for others while it stops: the second signal cuts these waits short. */
  stopInSteps(): { stop: AbortSignal; hasten: AbortSignal };
  /** A signal that ends the process at once waits for `end` first. For programs that would outlive this process. */
  endFirst(end: () => Promise<void>): void;
  /** Sets the code to exit with when the command is done. The default is 0. */
  setExitCode(code: number): void;
}

export interface Settings {
  /** Path of the `.env` file, which may be missing. */
  readonly file: string;
  readonly values: Environment;
  /** Settings whose secret file could not be read. */
  readonly faults: readonly ConfigFault[];
  /** Lines of the `.env` file that may not mean what they look like. */
  readonly warnings: readonly string[];
  readonly sourceOf: (name: string) => SettingSource;
}

export type SettingSource = 'environment' | '.env' | 'file' | 'default';
