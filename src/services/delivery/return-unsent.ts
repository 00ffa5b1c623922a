import { columns } from '../../database/columns.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import type { Scope } from '../scope.ts';
import { type LeasedRow, leaseMs } from './job.ts';

const leases = columns({ email_id: 'uuid', lease_token: 'uuid' });

const rowsStatement: Statement = {
  name: 'give_back_2',
  text: `
update emails set lease_token = null, due_at = now(), tries = emails.tries - 1
from ${leases.as('given')}
where emails.id = given.email_id and emails.lease_token = given.lease_token`,
};

type Unsent = Pick<LeasedRow, 'id' | 'leaseToken'>;

/** Returns emails whose attempt has not started: they are due again at once, as if they had never been claimed. */
export async function returnUnsent(scope: Scope, rows: readonly Unsent[]): Promise<void> {
  const given = rows.map((it) => ({ email_id: it.id, lease_token: it.leaseToken }));
  await runStatement(scope.em, rowsStatement, leases.values(given));
}

const claimsStatement: Statement = {
  name: 'give_back_claims_1',
  text: `
update emails set lease_token = null, due_at = now(), tries = tries - 1
where state = 'queued' and lease_token = any($1::uuid[])
returning lease_token`,
};

/** How often to look for the emails of a claim whose response was lost. */
const lookEveryMs = 1000;

/**
 * Emails that a worker claimed and will not start. Only this worker knows that they are unsent, so it remembers them until
 * the database has them back, even during an outage.
 */
export function createReturnQueue(scope: Scope) {
  const unsent: Unsent[] = [];
  let claims: { leaseToken: string; until: number }[] = [];
  let lookAt = 0;

  async function returnClaims(): Promise<void> {
    const rows = await runStatement<{ lease_token: string }>(scope.em, claimsStatement, [
      claims.map((it) => it.leaseToken),
    ]);
    if (rows.length > 0) scope.log.info({ emails: rows.length }, 'emails of a claim without a response were returned');
    const found = new Set(rows.map((row) => row.lease_token));
    claims = claims.filter((it) => !found.has(it.leaseToken) && Date.now() < it.until);
    lookAt = Date.now() + lookEveryMs;
  }

  return {
    /** None of these emails will be started. */
    add(rows: readonly Unsent[]): void {
      unsent.push(...rows);
    },
    /**
     * The claim's response was lost, so the claim may still take effect. Look for its token until the lease would have
     * expired.
     */
    addClaim(leaseToken: string): void {
      claims.push({ leaseToken, until: Date.now() + leaseMs });
      lookAt = 0;
    },
    /** If the database is away, the emails are kept for the next call. */
    async returnAll(): Promise<void> {
      if (unsent.length > 0) {
        const given = [...unsent];
        await returnUnsent(scope, given);
        unsent.splice(0, given.length);
      }
      if (claims.length > 0 && Date.now() >= lookAt) await returnClaims();
    },
  };
}
