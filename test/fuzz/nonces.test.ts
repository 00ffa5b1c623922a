import { expect } from 'chai';
import { Keyring, sealingKey } from '../../src/privacy/keyring.ts';

/** Two values encrypted with the same key and nonce would reveal each other (NIST SP 800-38D §8). */
describe('a million encryptions', () => {
  it('use a million different nonces', () => {
    const rings = Array.from(
      { length: 4 },
      () => new Keyring([sealingKey('k1', new Uint8Array(32))], new Uint8Array(32)),
    );
    const nonces = new Set<string>();
    for (const ring of rings) {
      const start = ring.newestPrefix.length;
      for (let count = 0; count < 250_000; count++) {
        const sealed = ring.seal('x', { table: 'attempts', column: 'reply', row: 'r1' });
        nonces.add(sealed.subarray(start, start + 12).toString('latin1'));
      }
    }
    expect(nonces.size).to.equal(1_000_000);
  });
});
