/**
 * Options for a Node that reports at its end its peak memory, and what is still in use after garbage collections, which it
 * runs four times a second: otherwise uncollected garbage makes the result random. The least of the last second counts, so
 * that it does not matter what one batch holds at that moment.
 */
export const tellingMemory = `--expose-gc --import=data:text/javascript,${encodeURIComponent(`
  const last = [];
  setInterval(() => {
    gc();
    const { heapUsed, external } = process.memoryUsage();
    last.push(heapUsed + external);
    if (last.length > 4) last.shift();
  }, 250).unref();
  process.on('exit', () =>
    process.stderr.write('peak=' + process.resourceUsage().maxRSS * 1024 + ' live=' + Math.min(...last) + '\\n'));
`)}`;

/** The memory that such a program reported on stderr, in bytes. */
export function toldMemory(stderr: string): { peak: number; live: number } {
  const [, peak, live] = (/peak=(\d+) live=(\d+)/.exec(stderr) ?? []).map(Number) as [number, number, number];
  return { peak, live };
}
