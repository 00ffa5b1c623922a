import { keepKey, readKeyRows } from '../../database/encryption-keys.ts';
import type { Scope } from '../scope.ts';

/**
 * Asked once in a while by a program that goes on running: did an operator bring in a key that it lacks, or retire the
 * one that it still seals with? The latter is in use, so it is written down as such: whoever starts without it is
 * refused, and nothing sealed can be left behind.
 */
export async function watchKeys({ em, keyring, log }: Scope): Promise<void> {
  const { stored } = await readKeyRows(em.fork());
  for (const { id } of stored) {
    if (keyring.has(id)) continue;
    log.error(
      { key: id },
      'this program lacks a key that others seal with: mail about their messages waits; add it to ENCRYPTION_KEYS and restart',
    );
  }
  const { newestId } = keyring;
  if (stored.some((it) => it.id === newestId)) return;
  if (!stored.some((row) => keyring.sharesIndexKey(row))) {
    log.error('this database is not the one that this program was started with: restart it');
    return;
  }
  await keepKey(em, keyring.describeNewest());
  log.warn(
    { key: newestId },
    'this program seals with a key that was rotated away: put the newest first in ENCRYPTION_KEYS, restart, and rotate again',
  );
}
