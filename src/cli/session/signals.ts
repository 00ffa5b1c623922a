/** Sent by Ctrl-C, by a service manager, and by a terminal that closes. */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** GNU `timeout`, npm and our launcher repeat a signal that the terminal already sent to the whole process group. */
const sameSignalMs = 2000;

/** Deadline of a hastened stop; then the process exits. */
const hastenedStopMs = 5000;

/**
 * Handles signals. Each one starts the next step of the command's stop; after the last step, the next signal ends the
 * process. A signal within two seconds of another counts as the same one.
 */
export class Signals {
  readonly #exit: () => void;
  readonly #stop = new AbortController();
  readonly #hasten = new AbortController();
  readonly #endFirst: (() => Promise<void>)[] = [];
  #steps: (() => void)[] = [];
  #handledAt = Number.NEGATIVE_INFINITY;
  /** Whether a signal ended the process, or will, before its command could finish or stop in order. */
  isInterrupted = false;

  constructor(exit: () => void) {
    this.#exit = exit;
    for (const signal of stopSignals) process.on(signal, () => this.#handle());
    // SIGUSR2 would kill the process. The launcher handles SIGUSR1.
    process.on('SIGUSR2', () => {});
  }

  /** Whether a signal asked the command to stop. */
  get wasAskedToStop(): boolean {
    return this.#handledAt > Number.NEGATIVE_INFINITY;
  }

  stopGently(): AbortSignal {
    this.#steps = [() => this.#stop.abort()];
    return this.#stop.signal;
  }

  stopInSteps(): { stop: AbortSignal; hasten: AbortSignal } {
    this.#steps = [() => this.#stop.abort(), () => this.#startHastening()];
    return { stop: this.#stop.signal, hasten: this.#hasten.signal };
  }

  endFirst(end: () => Promise<void>): void {
    this.#endFirst.push(end);
  }

  /** The command is done. The next signal ends the process. */
  forgetSteps(): void {
    this.#steps = [];
  }

  #handle(): void {
    const now = performance.now();
    if (now - this.#handledAt < sameSignalMs) return;
    this.#handledAt = now;
    const step = this.#steps.shift();
    if (step) step();
    else void this.#end();
  }

  #startHastening(): void {
    this.isInterrupted = true;
    this.#hasten.abort();
    setTimeout(() => void this.#end(), hastenedStopMs).unref();
  }

  async #end(): Promise<void> {
    this.isInterrupted = true;
    await Promise.allSettled(this.#endFirst.map((end) => end()));
    this.#exit();
  }
}
