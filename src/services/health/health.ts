import type { EntityManager } from '@mikro-orm/postgresql';
import { checkAlerts, noAlerts } from './alerts.ts';
import { checkBackup } from './backup.ts';
import { checkDatabase, checkDurability, checkKeyring, checkSchema, checkWrites, noSchema } from './database.ts';
import { checkClock, deepChecks } from './deep/smtp-and-clock.ts';
import { bad, type Finding, type HealthCheck, type HealthParts, type HealthStatus } from './health-check.ts';
import { checkHooks } from './hooks.ts';
import { checkDisk, checkFiles, checkProxies, checkRedis, checkSettings } from './machine.ts';
import { checkFailed, checkHeld, checkMail, checkQueue, checkTemplates } from './mail.ts';
import { checkRetention } from './retention.ts';
import { checkSealed } from './sealed.ts';

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
  const database = await run(parts, () => checkDatabase(parts));
  const askNow = (check: (em: EntityManager) => Promise<Finding>) => run(parts, () => check(parts.database().fork()));
  const schema = database.status === 'fail' ? undefined : await askNow(checkSchema);
  const missing = schema === undefined ? 'database' : schema.fact === noSchema && 'schema';
  // Asking for each check would only make the operator wait, or name each missing table.
  const ask: typeof askNow = async (check) =>
    missing ? bad('fail', `unknown without the ${missing}`, null) : await askNow(check);
  const findings = {
    database,
    durability: ask(checkDurability),
    writes: ask(checkWrites),
    schema: schema ?? ask(checkSchema),
    keys: ask((em) => checkKeyring(parts, em)),
    sealed: ask((em) => checkSealed(parts, em)),
    queue: ask((em) => checkQueue(parts, em)),
    failed: ask(checkFailed),
    held: ask((em) => checkHeld(em)),
    hooks: ask((em) => checkHooks(em)),
    retention: ask((em) => checkRetention(parts, em)),
    backup: database.status === 'fail' ? undefined : checkBackup(parts.database().fork()),
    alerts: (parts.config.alertUrl ?? parts.config.alertTo) ? ask((em) => checkAlerts(parts, em)) : noAlerts,
    templates: run(parts, () => checkTemplates(parts), 'fix that file, or delete it to use ours'),
    mail: run(parts, () => checkMail(parts)),
    files: run(parts, () => checkFiles(parts)),
    disk: run(parts, () => checkDisk(parts)),
    proxies: checkProxies(parts),
    settings: checkSettings(parts),
    ...(parts.redis && { redis: checkRedis(parts.redis) }),
    ...(options.deep && { clock: ask((em) => checkClock(parts, em)), ...deepChecks(parts) }),
  };
  const checks: HealthCheck[] = [];
  for (const [name, asked] of Object.entries(findings)) {
    const finding = await asked;
    if (finding !== undefined) checks.push({ name, ...finding });
  }
  const worst = (['fail', 'warn'] as const).find((status) => checks.some((it) => it.status === status));
  return { status: worst ?? 'ok', checks };
}

async function run(parts: HealthParts, check: () => Promise<Finding>, fix: string | null = null): Promise<Finding> {
  try {
    return await check();
  } catch (error) {
    return bad('fail', parts.explain(error), fix);
  }
}
