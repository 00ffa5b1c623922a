import type { Server } from 'node:http';

/** A server to which no request came for so long, and which had little to do, is quiet, in milliseconds. */
const quietMs = 1000;

/** Of processor time in those; delivering mail takes more, in microseconds. */
const littleUs = 100_000;

/** Less is not worth stopping for, in bytes. */
const worthIt = 6e6;

/**
 * What starting or a burst of posts took is garbage once it is over, and V8 would keep it until there is load again. So it
 * is given back to the system as soon as the server is quiet: all at once, which takes some fifty milliseconds, and only
 * where memory has grown since the last time. Only the launcher's `--expose-gc` makes the collector callable; without it
 * nothing happens.
 */
export function collectWhenQuiet(server: Server): void {
  const { gc } = globalThis;
  if (gc === undefined) return;
  let requests = 0;
  let before = process.cpuUsage();
  let resting = 0;
  server.on('request', () => {
    requests += 1;
  });
  setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    const isQuiet = requests === 0 && user + system < littleUs;
    before = process.cpuUsage();
    requests = 0;
    if (!isQuiet || process.memoryUsage.rss() < resting + worthIt) return;
    gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    resting = process.memoryUsage.rss();
  }, quietMs).unref();
}
