/** Ctrl-C, a terminal that closes, and whatever stops services. */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** GNU `timeout`, npm and our launcher pass on a signal that the terminal has sent to the whole process group already. */
const sameSignalMs = 2000;

/** How long a hastened stop may take before the process ends without it. */
const hastenedMs = 5000;

/**
 * What the signals do: each takes the next step of the stop that the command asked for, and after the last step it ends
 * the process. Another signal within two seconds counts as the same one.
 */
export class Signals {
  readonly #exit: () => void;
  readonly #stop = new AbortController();
  readonly #hasten = new AbortController();
  readonly #endFirst: (() => Promise<void>)[] = [];
  #steps: (() => void)[] = [];
  #heededAt = Number.NEGATIVE_INFINITY;
  /** Whether the process ends before its command was done, or before the command stopped by itself. */
  isInterrupted = false;

  constructor(exit: () => void) {
    this.#exit = exit;
    for (const signal of stopSignals) process.on(signal, () => this.#heed());
    // By default SIGUSR2 kills. The launcher heeds SIGUSR1.
    process.on('SIGUSR2', () => {});
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

  /** The command is done: nothing is left that could stop gently. */
  letGo(): void {
    this.#steps = [];
  }

  #heed(): void {
    const now = performance.now();
    if (now - this.#heededAt < sameSignalMs) return;
    this.#heededAt = now;
    const step = this.#steps.shift();
    if (step) step();
    else void this.#end();
  }

  #startHastening(): void {
    this.isInterrupted = true;
    this.#hasten.abort();
    setTimeout(() => void this.#end(), hastenedMs).unref();
  }

  async #end(): Promise<void> {
    this.isInterrupted = true;
    await Promise.allSettled(this.#endFirst.map((end) => end()));
    this.#exit();
  }
}
