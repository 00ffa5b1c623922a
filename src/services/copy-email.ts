import type { EntityManager } from '@mikro-orm/postgresql';
import { Email } from '../entities/index.ts';
import { newEmailIdentity } from './email-identity.ts';
import type { Scope } from './scope.ts';

/**
 * Writes the same mail as a mail of its own, due now; to the same recipient, unless told otherwise.
 *
 * @returns its id.
 */
export function copyEmail(em: EntityManager, scope: Scope, email: Email, now: Date, to?: string): string {
  const identity = newEmailIdentity(scope.config);
  em.create(Email, {
    ...identity,
    kind: email.kind,
    state: 'queued',
    message: email.message ?? null,
    recipient: to ?? email.recipient ?? null,
    sender: email.sender ?? null,
    dueAt: now,
    createdAt: now,
    resendOf: email,
  });
  return identity.id;
}
