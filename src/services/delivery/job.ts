import type { Mail } from '../../mail/mailer.ts';
import type { Scope } from '../scope.ts';
import type { ClaimedEmail } from './claim-due.ts';

/** The parts of delivering that need other wings (`emails/email-job.ts`). */
export interface EmailJob {
  /** Runs before the first claim and again after an outage, since somebody may have restored the database. */
  replayErasures(scope: Scope): Promise<unknown>;
  /** Cancels the emails that nobody wants any more. @returns their ids. */
  cancelUnwanted(scope: Scope, emails: readonly ClaimedEmail[]): Promise<ReadonlySet<string>>;
  compose(scope: Scope, email: ClaimedEmail): Promise<Mail>;
}
