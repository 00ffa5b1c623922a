/** The clock and its intervals stand still until a test moves them. */
export function stopClock() {
  const real = { now: performance.now, setInterval, clearInterval };
  const intervals = new Set<() => void>();
  const clock = {
    now: 1_000_000,
    intervals,
    tick: () => {
      for (const run of intervals) run();
    },
    [Symbol.dispose]: () => {
      performance.now = real.now;
      Object.assign(globalThis, { setInterval: real.setInterval, clearInterval: real.clearInterval });
    },
  };
  performance.now = () => clock.now;
  Object.assign(globalThis, {
    setInterval: (run: () => void) => {
      intervals.add(run);
      return run;
    },
    clearInterval: (run: () => void) => intervals.delete(run),
  });
  return clock;
}
