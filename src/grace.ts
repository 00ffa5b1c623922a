import { setTimeout as pause } from 'node:timers/promises';

/** Resolves after this time, or when `hasten` is aborted. Does not keep the process alive. */
export async function grace(ms: number, hasten: AbortSignal | undefined): Promise<void> {
  await pause(ms, undefined, { ref: false, ...(hasten && { signal: hasten }) }).catch(() => {});
}
