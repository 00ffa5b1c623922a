import { SealBroken } from '../privacy/sealing.ts';

/**
 * What a seal holds, or null where it does not open: one value whose key is gone must not hide the rest of a
 * list.
 */
export function openOrNull<T>(open: () => T): T | null {
  try {
    return open();
  } catch (error) {
    if (error instanceof SealBroken) return null;
    throw error;
  }
}
