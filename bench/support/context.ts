import { readConfig } from '../../src/config/read-config.ts';
import { type Context, openContext, openDatabaseContext } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';

/** The program's own context on a benchmark's database, to fill it with data. */
export async function openMeasured(env: Record<string, string>): Promise<Context> {
  const log = createLog({ level: 'silent', format: 'json' });
  return await openContext(await openDatabaseContext(readConfig(env), { log, embedded: 'join', waiting: 'operator' }));
}
