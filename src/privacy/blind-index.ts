import { hash, hkdfSync } from 'node:crypto';

const blockLength = 64;
const hashLength = 32;

/**
 * A keyed hash for looking values up that are stored sealed (blind index: CipherSweet, "Blind Indexing").
 * Each purpose has a key of its own, so that equal values in two columns do not show as equal.
 *
 * @returns HMAC-SHA-256 (RFC 2104), 32 bytes. Written out with Node's one-shot hashes: every post is hashed this way
 *   several times, and a hash object takes more than twice as long to make as two such hashes to take.
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
    // As text first: a hash as bytes would have memory of its own, which takes longer to let go than to copy.
    return Buffer.from(hash('sha256', outer, 'binary'), 'binary');
  };
}

/** The key, which is shorter than a block, filled up and turned by a byte. */
function padded(key: Uint8Array, byte: number): Buffer {
  const block = Buffer.alloc(blockLength, byte);
  for (const [index, part] of key.entries()) block[index] = part ^ byte;
  return block;
}
