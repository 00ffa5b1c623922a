import { Message, Sender } from '../entities/index.ts';
import type { Scope } from './scope.ts';
import { findSender } from './senders.ts';

/** What is gone. */
export interface Erased {
  id: string;
  messages: number;
}

/**
 * Erases a person: the sender, every message, the emails about them and their attempts. Mail that a worker has in its
 * hands at this moment still goes out; whether the sender was blocked is forgotten too.
 *
 * @throws {Problem} sender-unknown
 */
export async function eraseSender(scope: Scope, which: { id: string } | { email: string }): Promise<Erased> {
  const { id, addressIndex } = await findSender(scope, which);
  return await scope.em.fork().transactional(async (em) => {
    // The lock that the statement which stores takes first: a post by the same person waits, or is erased with the rest.
    const lock = Buffer.from(addressIndex).readBigInt64BE(0);
    await em.execute('select pg_advisory_xact_lock(?::bigint)', [String(lock)]);
    const messages = await em.nativeDelete(Message, { sender: id });
    await em.nativeDelete(Sender, { id });
    return { id, messages };
  });
}
