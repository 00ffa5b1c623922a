import type { Readable, Writable } from 'node:stream';
import type { ConfigFault, Environment } from '../../config/config.ts';

/** What the commands may touch of the process that runs them. Only `main.ts` knows the real one. */
export interface Deps {
  readonly stdin: Readable & { isTTY?: boolean };
  readonly stdout: Writable & { isTTY?: boolean; columns?: number };
  readonly stderr: Writable & { isTTY?: boolean; columns?: number };
  /** The surroundings as they are: for NO_COLOR and the like, never for settings. */
  readonly env: Environment;
  /** What to type to call this program once more, from the same folder. */
  readonly calledAs: string;
  /** The settings: environment, `.env` file and secret files put together. */
  readSettings(): Settings;
  /**
   * From here on SIGINT (Ctrl-C), SIGTERM and SIGHUP ask this command to end by itself, which it does soon after the
   * signal is aborted. Another one more than two seconds later ends it at once. A command that never calls this ends at
   * once the first time.
   */
  stopGently(): AbortSignal;
  /** The same for a command that waits for others while it stops: a later signal aborts `hasten`, which ends these waits. */
  stopInSteps(): { stop: AbortSignal; hasten: AbortSignal };
  /** Adds what would outlive this process: a signal that ends the process at once waits for `end` first. */
  endFirst(end: () => Promise<void>): void;
  /** The code to exit with once all is done; 0 unless somebody says otherwise. */
  setExitCode(code: number): void;
}

export interface Settings {
  /** The `.env` file, whether it is there or not. */
  readonly file: string;
  readonly values: Environment;
  /** What is set and could not be read. */
  readonly faults: readonly ConfigFault[];
  readonly sourceOf: (name: string) => SettingSource;
}

export type SettingSource = 'environment' | '.env' | 'file' | 'default';
