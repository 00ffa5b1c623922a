import type { Server } from 'node:http';

/** A server to which no request came for so long is quiet, in milliseconds. */
const quietMs = 1000;

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
  let resting = 0;
  server.on('request', () => {
    requests += 1;
  });
  setInterval(() => {
    const isQuiet = requests === 0;
    requests = 0;
    if (!isQuiet || process.memoryUsage.rss() < resting + worthIt) return;
    gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    resting = process.memoryUsage.rss();
  }, quietMs).unref();
}
