import type { Config } from '../../config/config.ts';
import type { Context, DatabaseContext, Opening } from '../../context.ts';
import type { Log } from '../../log.ts';
import { Problem } from '../../problems.ts';
import type { Deps } from '../terminal/deps.ts';
import { adviceWords } from './advice.ts';

/** @throws {ConfigFaulty} and what reading the settings throws. */
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

/** The database as it is, whatever its schema. */
export async function openDatabase(
  deps: Deps,
  opening: Omit<Opening, 'log' | 'endFirst'> = { embedded: 'join', waiting: 'operator' },
): Promise<DatabaseContext> {
  const { config, log } = await openConfig(deps);
  const { openDatabaseContext } = await import('../../context.ts');
  return await openDatabaseContext(config, { log, endFirst: deps.endFirst, ...opening });
}

/**
 * What a command needs that shows or changes what visitors gave: a schema that fits, and the keys.
 *
 * @param entities what it reads, where that is little and the answer should come at once.
 */
export async function openCommandContext(deps: Deps, entities?: Opening['entities']): Promise<Context> {
  return await openKeys(await openDatabase(deps, { embedded: 'join', waiting: 'operator', entities }));
}

/**
 * Takes over `base`, also where it fails.
 *
 * @param options.remedy what to run where the schema is behind.
 * @throws {Problem} schema-behind, schema-too-new
 * @throws {KeysWrong}
 */
export async function openKeys(base: DatabaseContext, options: { remedy?: string } = {}): Promise<Context> {
  await using opened = new AsyncDisposableStack();
  opened.use(base);
  const [{ openContext }] = await Promise.all([import('../../context.ts'), requireSchema(base, options.remedy)]);
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
  const warning = adviseOnSchema(() => requireFitSchema(status), remedy);
  if (warning !== undefined) base.log.warn(warning);
}

/**
 * @param remedy what to run where the schema is behind.
 * @throws {Problem} schema-behind, schema-too-new: with the command that helps.
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
