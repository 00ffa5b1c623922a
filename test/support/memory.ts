/**
 * Options for a Node that reports at its end its peak memory, and its peak memory in use after garbage collections,
 * which it runs four times a second: otherwise uncollected garbage makes the result random.
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

/** The memory that such a program reported on stderr, in bytes. */
export function toldMemory(stderr: string): { peak: number; live: number } {
  const [, peak, live] = (/peak=(\d+) live=(\d+)/.exec(stderr) ?? []).map(Number) as [number, number, number];
  return { peak, live };
}
