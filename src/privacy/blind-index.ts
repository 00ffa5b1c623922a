import { hash, hkdfSync } from 'node:crypto';

const blockLength = 64;
const hashLength = 32;

/**
 * A keyed hash to look up encrypted values by (blind index: CipherSweet, "Blind Indexing"). Each purpose has a key of its
 * own, so that equal values in two columns have different hashes.
 *
 * @returns HMAC-SHA-256 (RFC 2104), 32 bytes. Built from Node's one-shot hashes: each post needs several, and creating one
 *   hash object takes longer than computing two one-shot hashes.
 */
export function createBlindIndex(indexKey: Uint8Array, purpose: string): (value: string) => Buffer {
  const key = new Uint8Array(hkdfSync('sha256', indexKey, '', `ruffinweb index ${purpose}`, hashLength));
  const inner = padded(key, 0x36);
  const outer = Buffer.concat([padded(key, 0x5c), Buffer.alloc(hashLength)]);
  return (value) => {
    const first = Buffer.allocUnsafe(blockLength + Buffer.byteLength(value));
    first.set(inner);
    first.write(value, blockLength);
    outer.write(hash('sha256', first, 'binary'), blockLength, 'binary');
    // As text first: a hash as bytes has memory of its own, and freeing that takes longer than the copy.
    return Buffer.from(hash('sha256', outer, 'binary'), 'binary');
  };
}

/** The key, padded to a block and XORed with a byte. */
function padded(key: Uint8Array, byte: number): Buffer {
  const block = Buffer.alloc(blockLength, byte);
  for (const [index, part] of key.entries()) block[index] = part ^ byte;
  return block;
}
