import type { EntityManager } from '@mikro-orm/postgresql';
import { checkDatabase, checkDurability, checkKeyring, checkSchema } from './database.ts';
import type { HealthCheck, HealthParts, HealthStatus } from './health-check.ts';
import { checkDisk, checkProxies, checkRedis } from './machine.ts';
import { checkFailed, checkHeld, checkMail, checkQueue, checkTemplates } from './mail.ts';
import { checkRetention } from './retention.ts';
import { checkClock, deepChecks } from './smtp-and-clock.ts';

export interface Health {
  /** The worst status of all checks. */
  status: HealthStatus;
  checks: HealthCheck[];
}

/**
 * Checks everything that delivery depends on. It changes no row, and a failed check does not hide another.
 *
 * @param options.deep also asks the DNS and tries ports. Takes seconds.
 */
export async function checkHealth(parts: HealthParts, options: { deep?: boolean } = {}): Promise<Health> {
  const database = await look(parts, 'database', () => checkDatabase(parts));
  // If the database is away, asking again for each check would only make the operator wait.
  const ask = (name: HealthCheck['name'], check: (em: EntityManager) => Promise<HealthCheck>) =>
    database.status === 'fail' ? unknown(name) : look(parts, name, () => check(parts.database().fork()));
  const checks = await Promise.all([
    database,
    ask('durability', checkDurability),
    ask('schema', checkSchema),
    ask('keys', (em) => checkKeyring(parts, em)),
    ask('queue', (em) => checkQueue(parts, em)),
    ask('failed', checkFailed),
    ask('held', checkHeld),
    ask('retention', (em) => checkRetention(parts, em)),
    look(parts, 'templates', () => checkTemplates(parts), 'fix that file, or delete it to use ours'),
    look(parts, 'mail', () => checkMail(parts)),
    look(parts, 'disk', () => checkDisk(parts)),
    checkProxies(parts),
    ...(parts.redis === undefined ? [] : [checkRedis(parts.redis)]),
    ...(options.deep ? [ask('clock', (em) => checkClock(parts, em)), ...deepChecks(parts)] : []),
  ]);
  const worst = (['fail', 'warn'] as const).find((status) => checks.some((it) => it.status === status));
  return { status: worst ?? 'ok', checks };
}

async function look(
  parts: HealthParts,
  name: HealthCheck['name'],
  check: () => Promise<HealthCheck>,
  fix: string | null = null,
): Promise<HealthCheck> {
  try {
    return await check();
  } catch (error) {
    return { name, status: 'fail', fact: parts.explain(error), fix };
  }
}

function unknown(name: HealthCheck['name']): HealthCheck {
  return { name, status: 'fail', fact: 'unknown without the database', fix: null };
}
