import { runStatement, type Statement } from '../../database/statement.ts';
import type { Scope } from '../scope.ts';
import { type ClaimedEmail, leaseMs } from './claim-due.ts';

const emailsStatement: Statement = {
  name: 'give_back_1',
  text: `
update emails set lease_token = null, due_at = now(), tries = emails.tries - 1
from unnest($1::uuid[], $2::uuid[]) as given (email_id, lease_token)
where emails.id = given.email_id and emails.lease_token = given.lease_token`,
};

/** Lets go of emails whose try has not begun: they are due again at once, as if nobody had taken them. */
export async function giveBack(scope: Scope, emails: readonly ClaimedEmail[]): Promise<void> {
  await runStatement(scope.em, emailsStatement, [emails.map((it) => it.id), emails.map((it) => it.leaseToken)]);
}

const claimsStatement: Statement = {
  name: 'give_back_claims_1',
  text: `
update emails set lease_token = null, due_at = now(), tries = tries - 1
where state = 'queued' and lease_token = any($1::uuid[])
returning lease_token`,
};

/** How often a claim without an answer is asked after. */
const askEveryMs = 1000;

/**
 * What a worker claimed and did not begin. Nobody else can know that it is unsent, so the worker keeps it in mind, over
 * an outage too, until the database has it back.
 */
export function createReturns(scope: Scope) {
  const emails: ClaimedEmail[] = [];
  let claims: { leaseToken: string; until: number }[] = [];
  let askAt = 0;

  async function giveBackClaims(): Promise<void> {
    const rows = await runStatement<{ lease_token: string }>(scope.em, claimsStatement, [
      claims.map((it) => it.leaseToken),
    ]);
    if (rows.length > 0) scope.log.info({ emails: rows.length }, 'emails of a claim without an answer were given back');
    const found = new Set(rows.map((row) => row.lease_token));
    claims = claims.filter((it) => !found.has(it.leaseToken) && Date.now() < it.until);
    askAt = Date.now() + askEveryMs;
  }

  return {
    /** None of these will be begun. */
    add(unbegun: readonly ClaimedEmail[]): void {
      emails.push(...unbegun);
    },
    /**
     * The answer to a claim never came. A statement may reach the database, or end there, after its connection was given
     * up here: where nothing bears the token yet, it is asked for again for as long as a lease lasts.
     */
    addClaim(leaseToken: string): void {
      claims.push({ leaseToken, until: Date.now() + leaseMs });
      askAt = 0;
    },
    /** What the database does not take now is kept for the next time. */
    async giveBackAll(): Promise<void> {
      if (emails.length > 0) {
        const given = [...emails];
        await giveBack(scope, given);
        emails.splice(0, given.length);
      }
      if (claims.length > 0 && Date.now() >= askAt) await giveBackClaims();
    },
  };
}
