import { Duty } from '../../entities/index.ts';
import { verifiedBackup } from '../backup/verify-backup.ts';
import { databaseNow, dayMs, formatSpan } from '../clock.ts';
import type { Scope } from '../scope.ts';
import { bad, type Finding, good } from './health-check.ts';

const maxAgeMs = 2 * dayMs;

/** Undefined if no backup was ever verified, since the operator may back up in another way. */
export async function checkBackup(em: Scope['em']): Promise<Finding | undefined> {
  try {
    const duty = await em.findOne(Duty, { name: verifiedBackup });
    if (duty === null) return undefined;
    const ageMs = Math.max(0, (await databaseNow(em)).getTime() - duty.doneAt.getTime());
    const fact = `the newest verified backup is ${formatSpan(ageMs)} old`;
    return ageMs <= maxAgeMs ? good(fact) : bad('warn', fact, null, 'back-up');
  } catch {
    // The other checks report a database that cannot answer this.
    return undefined;
  }
}
