/**
 * Options for a Node that is to say at its end how much memory it had at most, and how much of that was in use whenever
 * it tidied up, which it does four times a second: what it leaves lying about otherwise is chance.
 */
export const tellingMemory = `--expose-gc --import=data:text/javascript,${encodeURIComponent(`
  let live = 0;
  setInterval(() => {
    gc();
    const { heapUsed, external } = process.memoryUsage();
    live = Math.max(live, heapUsed + external);
  }, 250).unref();
  process.on('exit', () => process.stderr.write('peak=' + process.resourceUsage().maxRSS * 1024 + ' live=' + live + '\\n'));
`)}`;

/** What such a program said on stderr, in bytes. */
export function toldMemory(stderr: string): { peak: number; live: number } {
  const [, peak, live] = (/peak=(\d+) live=(\d+)/.exec(stderr) ?? []).map(Number) as [number, number, number];
  return { peak, live };
}
