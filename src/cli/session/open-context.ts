import type { Config } from '../../config/config.ts';
import type { Context, DatabaseContext, Opening } from '../../context.ts';
import type { Log } from '../../log.ts';
import { Problem } from '../../problems.ts';
import type { Deps } from '../terminal/deps.ts';
import { adviceWords } from './advice.ts';

/** @throws {ConfigFaulty} and the errors of reading the settings. */
export async function openConfig(deps: Deps): Promise<{ config: Config; log: Log }> {
  const [{ readConfig }, { createLog, logWhenUsed }] = await Promise.all([
    import('../../config/read-config.ts'),
    import('../../log.ts'),
  ]);
  const { values, faults } = deps.readSettings();
  const config = readConfig(values, faults);
  const format = config.log.format ?? (deps.stderr.isTTY ? 'pretty' : 'json');
  return { config, log: logWhenUsed(() => createLog({ level: config.log.level, format })) };
}

/** Opens the database without checking its schema. */
export async function openDatabase(
  deps: Deps,
  opening: Omit<Opening, 'log' | 'endFirst'> = { embedded: 'join', waiting: 'operator' },
): Promise<DatabaseContext> {
  const { config, log } = await openConfig(deps);
  // Only servers and workers log them: other commands would repeat them each time.
  if (opening.waiting === 'visitor')
    for (const { variable, wrong, fix } of config.warnings) log.warn(`${variable} ${wrong}: ${fix}`);
  const { openDatabaseContext } = await import('../../context.ts');
  return await openDatabaseContext(config, { log, endFirst: deps.endFirst, ...opening });
}

/**
 * Checks the schema and the keys, which every command needs that reads or changes visitors' data. Closes `base` if that
 * fails; otherwise the returned context owns it.
 *
 * @param remedy the command to run if the schema is behind.
 * @throws {Problem} schema-behind, schema-too-new
 * @throws {KeysWrong}
 */
export async function openKeys(base: DatabaseContext, remedy?: string): Promise<Context> {
  await using opened = new AsyncDisposableStack();
  opened.use(base);
  const [{ openContext }] = await Promise.all([import('../../context.ts'), requireSchema(base, remedy)]);
  opened.move();
  return await openContext(base);
}

/** @throws {Problem} schema-behind, schema-too-new */
export async function requireSchema(base: DatabaseContext, remedy?: string): Promise<void> {
  const [{ readSchemaStatus }, { requireFitSchema }] = await Promise.all([
    import('../../database/migrate.ts'),
    import('../../services/schema.ts'),
  ]);
  const status = await readSchemaStatus(base.orm.em.fork());
  const isEmpty = status.applied.length === 0;
  const warning = adviseOnSchema(() => requireFitSchema(status), isEmpty ? 'ruffinweb serve --migrate' : remedy);
  if (warning !== undefined) base.log.warn(warning);
}

/**
 * Adds the command that helps to the error.
 *
 * @param remedy the command to run if the schema is behind.
 * @throws {Problem} schema-behind, schema-too-new
 */
export function adviseOnSchema(
  require: () => string | undefined,
  remedy = adviceWords['migrate-up'],
): string | undefined {
  try {
    return require();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const advice = error.code === 'schema-behind' ? `run "${remedy}"` : adviceWords['migrate-down-first'];
    throw new Problem(error.code, `${error.message}: ${advice}`);
  }
}
