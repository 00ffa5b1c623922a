/** The SQL of when a held message began to be held. */
export const heldSince = 'coalesce(messages.held_at, messages.received_at)';
