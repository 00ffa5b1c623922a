import { createHmac, hkdfSync } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { keyFile, makeKeyFile, makeKeys, readKeyFile } from '../../src/privacy/key-file.ts';
import { isKeyOf } from '../../src/privacy/key-row.ts';
import { createBlindIndex, Keyring, sealingKey } from '../../src/privacy/keyring.ts';
import { checkKeys, KeysWrong } from '../../src/privacy/keyring-check.ts';
import { placesOf, sealedTableNames, sealedTables } from '../../src/privacy/sealed-columns.ts';
import { SealBroken, sealedWith, unseal } from '../../src/privacy/sealing.ts';
import { temporaryFolder } from '../support/program.ts';

const key = (id: string, byte: number) => ({ id, secret: new Uint8Array(32).fill(byte) });
const ringOf = (...keys: { id: string; secret: Uint8Array }[]) =>
  new Keyring(
    keys.map((it) => sealingKey(it.id, it.secret)),
    new Uint8Array(32).fill(9),
  );
const place = { table: 'messages', column: 'content', row: 'r1' } as const;

describe('keyring', () => {
  it('decrypts what it encrypted, whatever the text', () => {
    const ring = ringOf(key('k1', 1));
    for (const text of ['', 'Ada', 'naïve ☃ 😀', '\u0000\u001b[31m', 'x'.repeat(100_000)]) {
      expect(ring.open(ring.seal(text, place), place)).to.equal(text);
    }
  });

  it('rejects a value moved to another table, column or row', () => {
    const ring = ringOf(key('k1', 1));
    const places = ['r1', 'r2'].flatMap((row) => sealedTableNames.flatMap((table) => placesOf(table, row)));
    expect(places).to.have.lengthOf(2 * Object.values(sealedTables).flatMap((it) => it.columns).length);
    for (const from of places) {
      const sealed = ring.seal('secret', from);
      for (const to of places) {
        if (to === from) expect(ring.open(sealed, to)).to.equal('secret');
        else expect(() => ring.open(sealed, to), JSON.stringify([from, to])).to.throw(SealBroken);
      }
    }
  });

  it('decrypts nothing with a single changed bit', () => {
    const ring = ringOf(key('k1', 1));
    const sealed = ring.seal('secret', place);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => ring.open(changed, place), `byte ${at}`).to.throw(SealBroken);
    }
    expect(() => ring.open(sealed.subarray(0, sealed.length - 13), place)).to.throw(SealBroken);
    expect(() => ring.open(Buffer.alloc(0), place)).to.throw(SealBroken);
  });

  it('names the key of a value that is long enough', () => {
    const sealed = ringOf(key('k1', 1)).seal('', place);
    expect(sealedWith(sealed)).to.equal('k1');
    for (const it of [sealed.subarray(0, -1), Buffer.of(1), Buffer.alloc(0)]) {
      expect(() => sealedWith(it)).to.throw(SealBroken, 'not an encrypted value');
    }
  });

  it('needs a key, and lists them, the newest first', () => {
    const ring = ringOf(key('k2', 2), key('k1', 1));
    expect([ring.newestId, ring.ids]).to.deep.equal(['k2', ['k2', 'k1']]);
    expect(ring.describeNewest().id).to.equal('k2');
    expect(() => ringOf()).to.throw(RangeError, 'at least one key');
  });

  it('encrypts with the newest key and decrypts with every key', () => {
    const old = ringOf(key('k1', 1));
    const both = ringOf(key('k2', 2), key('k1', 1));
    expect(both.open(old.seal('secret', place), place)).to.equal('secret');
    expect(() => old.open(both.seal('secret', place), place)).to.throw(SealBroken, /"k2"/);
  });

  it('never uses a nonce twice', () => {
    // More than are generated at a time; `npm run test:fuzz` encrypts a million.
    const ring = ringOf(key('k1', 1));
    const start = ring.newestPrefix.length;
    const nonces = Array.from({ length: 5000 }, () =>
      ring
        .seal('x', place)
        .subarray(start, start + 12)
        .toString('hex'),
    );
    expect(new Set(nonces).size).to.equal(nonces.length);
  });

  it('encrypts a text differently each time, indexes it the same', () => {
    const ring = ringOf(key('k1', 1));
    expect(ring.seal('x', place).equals(ring.seal('x', place))).to.equal(false);
    expect(ring.addressIndex('ada@example.com').equals(ring.addressIndex('ada@example.com'))).to.equal(true);
    expect(ring.addressIndex('ada@example.com')).to.have.lengthOf(32);
  });

  it('never uses a nonce twice, even after many', () => {
    const rings = [ringOf(key('k1', 1)), ringOf(key('k1', 1))];
    const nonces = rings.flatMap((ring) =>
      Array.from({ length: 1000 }, () => ring.seal('', place).subarray(4, 16).toString('hex')),
    );
    expect(new Set(nonces)).to.have.lengthOf(2000);
  });
});

describe('key file', () => {
  it('gets a new key, once', async () => {
    await using folder = await temporaryFolder();
    const now = new Date('2026-11-22T07:33:00Z');
    const path = join(folder.path, 'data');
    expect(readKeyFile(path)).to.equal(undefined);
    const keys = makeKeyFile(path, now);
    expect(keys).to.match(/^k20261122-073300:[\w+/]{43}=$/);
    expect(readFileSync(keyFile(path), 'utf8')).to.equal(`${keys}\n`);
    expect([makeKeyFile(path, now), readKeyFile(path)]).to.deep.equal([keys, keys]);
    expect(makeKeys(now)).to.not.equal(keys);
  });

  it('that cannot be read is not taken for a missing one', async () => {
    await using folder = await temporaryFolder();
    mkdirSync(keyFile(folder.path));
    expect(() => readKeyFile(folder.path)).to.throw();
  });
});

describe('checkKeys', () => {
  const fresh = checkKeys([key('k1', 1)], []);
  const rows = [fresh.newRow].filter((it) => it !== undefined);

  it('makes a row for a new database, which restores the same ring', () => {
    expect(fresh.newRow?.id).to.equal('k1');
    const again = checkKeys([key('k1', 1)], rows);
    expect(again.newRow).to.equal(undefined);
    expect(again.keyring.addressIndex('x').equals(fresh.keyring.addressIndex('x'))).to.equal(true);
  });

  it('wraps the index key with a new first key, and with no other', () => {
    expect(checkKeys([key('k1', 1), key('k2', 2)], rows).newRow).to.equal(undefined);
    const { newRow } = checkKeys([key('k2', 2), key('k1', 1)], rows);
    if (newRow === undefined) throw new Error('unreachable');
    expect(newRow.id).to.equal('k2');
    const alone = checkKeys([key('k2', 2)], [newRow]);
    expect(alone.keyring.addressIndex('x').equals(fresh.keyring.addressIndex('x'))).to.equal(true);
  });

  it('finds the canary where every release writes it', () => {
    const its = sealingKey('k1', key('k1', 1).secret);
    const [{ canary = Buffer.alloc(0) } = {}] = rows;
    expect(unseal(canary, { table: 'encryption_keys', column: 'canary', row: 'k1' }, its).toString()).to.equal(
      'ruffinweb canary',
    );
    // Any other failure is no wrong key.
    expect(() => isKeyOf({ canary }, { ...its, secret: undefined as never })).to.throw(TypeError);
  });

  it('refuses a key under the id of another one', () => {
    expect(() => checkKeys([key('k1', 7)], rows)).to.throw(KeysWrong, /"k1".*is not the key "k1" that this database/);
  });

  it('names missing keys; refuses if none opens the index key', () => {
    const { newRow } = checkKeys([key('k2', 2), key('k1', 1)], rows);
    if (newRow === undefined) throw new Error('unreachable');
    expect(checkKeys([key('k2', 2)], [...rows, newRow]).missing).to.deep.equal(['k1']);
    expect(() => checkKeys([key('k3', 3)], [...rows, newRow])).to.throw(KeysWrong, /put back key "k1" or "k2"/);
  });
});

describe('blind index', () => {
  it('is the HMAC of the value with a key for its purpose', () => {
    const indexKey = new Uint8Array(32).fill(9);
    for (const purpose of ['senders.address_index', 'fingerprint']) {
      const index = createBlindIndex(indexKey, purpose);
      const key = new Uint8Array(hkdfSync('sha256', indexKey, '', `ruffinweb index ${purpose}`, 32));
      for (const value of ['', 'ada@example.com', 'naïve ☃ 😀', 'x'.repeat(10_000)]) {
        expect(index(value).toString('hex')).to.equal(createHmac('sha256', key).update(value).digest('hex'));
      }
    }
  });
});
