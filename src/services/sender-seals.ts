import type { Keyring } from '../privacy/keyring.ts';

/** @throws {SealBroken} */
export function openSenderAddress(keyring: Keyring, sender: { id: string; address: Uint8Array }): string {
  return keyring.open(sender.address, { table: 'senders', column: 'address', row: sender.id });
}

/** @throws {SealBroken} */
export function openSenderName(keyring: Keyring, sender: { id: string; name?: Uint8Array | null }): string | undefined {
  if (sender.name == null) return undefined;
  return keyring.open(sender.name, { table: 'senders', column: 'name', row: sender.id });
}
