import { columns } from '../../database/columns.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import type { Scope } from '../scope.ts';
import { emailTable, type JobTable, type LeasedRow, leaseMs } from './job.ts';

const leases = columns({ row_id: 'uuid', lease_token: 'uuid' });

const rowsStatement = ({ rows }: JobTable): Statement => ({
  name: `return_${rows}_1`,
  text: `
update ${rows} set lease_token = null, due_at = now(), tries = ${rows}.tries - 1
from ${leases.as('given')}
where ${rows}.id = given.row_id and ${rows}.lease_token = given.lease_token`,
});

type Unsent = Pick<LeasedRow, 'id' | 'leaseToken'>;

/** Returns rows whose attempt has not started: they are due again at once, as if they had never been claimed. */
export async function returnUnsent(scope: Scope, rows: readonly Unsent[], table = emailTable): Promise<void> {
  const given = rows.map((it) => ({ row_id: it.id, lease_token: it.leaseToken }));
  await runStatement(scope.em, rowsStatement(table), leases.values(given));
}

const claimsStatement = ({ rows }: JobTable): Statement => ({
  name: `return_${rows}_of_claims_1`,
  text: `
update ${rows} set lease_token = null, due_at = now(), tries = tries - 1
where state = 'queued' and lease_token = any($1::uuid[])
returning lease_token`,
});

/** How often to look for the rows of a claim whose response was lost. */
const lookEveryMs = 1000;

/**
 * Rows that a worker claimed and will not start. Only this worker knows that they are unsent, so it remembers them until
 * the database has them back, even during an outage.
 */
export function createReturnQueue(scope: Scope, table: JobTable) {
  const unsent: Unsent[] = [];
  let claims: { leaseToken: string; until: number }[] = [];
  let lookAt = 0;

  async function returnClaims(): Promise<void> {
    const rows = await runStatement<{ lease_token: string }>(scope.em, claimsStatement(table), [
      claims.map((it) => it.leaseToken),
    ]);
    const facts = { [table.rows]: rows.length };
    if (rows.length > 0) scope.log.info(facts, `${table.rows} of a claim without a response were returned`);
    const found = new Set(rows.map((row) => row.lease_token));
    claims = claims.filter((it) => !found.has(it.leaseToken) && Date.now() < it.until);
    lookAt = Date.now() + lookEveryMs;
  }

  return {
    /** None of these rows will be started. */
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
    /** If the database is away, the rows are kept for the next call. */
    async returnAll(): Promise<void> {
      if (unsent.length > 0) {
        const given = [...unsent];
        await returnUnsent(scope, given, table);
        unsent.splice(0, given.length);
      }
      if (claims.length > 0 && Date.now() >= lookAt) await returnClaims();
    },
  };
}
