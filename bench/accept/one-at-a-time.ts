/** The whole program, but that each post is stored by itself, on as many connections as the pool has. */
import { readConfig } from '../../src/config/read-config.ts';
import { openContext, openDatabaseContext } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';
import { openMailingContext } from '../../src/mailing-context.ts';
import { serve } from '../../src/server/serve.ts';

const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const config = readConfig(process.env);
const base = await openDatabaseContext(config, {
  log: createLog({ ...config.log, format: 'json' }),
  embedded: 'join',
  waiting: 'visitor',
});
await using context = await openMailingContext(await openContext(base));
await serve(context, {
  deliver: false,
  stop: stop.signal,
  calledAs: 'ruffinweb',
  print: console.log,
  batches: { maxInFlight: 10, maxPosts: 1, maxWaiting: 2000 },
});
