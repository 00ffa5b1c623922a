import { Duty } from '../../entities/index.ts';
import { verifiedBackup } from '../backup/verify-backup.ts';
import { databaseNow, dayMs } from '../clock.ts';
import type { Scope } from '../scope.ts';
import { bad, type Finding, good } from './health-check.ts';

const maxAgeDays = 2;

/** Undefined if no backup was ever verified, since the operator may back up in another way. */
export async function checkBackup(em: Scope['em']): Promise<Finding | undefined> {
  try {
    const duty = await em.findOne(Duty, { name: verifiedBackup });
    if (duty === null) return undefined;
    const ageDays = ((await databaseNow(em)).getTime() - duty.doneAt.getTime()) / dayMs;
    const fact = `the newest verified backup is from ${duty.doneAt.toISOString().slice(0, 16)}Z`;
    if (ageDays <= maxAgeDays) return good(fact);
    return bad('warn', `${fact}, ${Math.floor(ageDays)} days ago`, null, 'back-up');
  } catch {
    // The other checks report a database that cannot answer this.
    return undefined;
  }
}
