import { expect } from 'chai';
import { binaryArray } from '../../src/database/binary-array.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

/** What PostgreSQL makes of each says whether its format was met. */
describe('a binary array', () => {
  let db: TestDatabase;
  before(async () => {
    db = await createDatabase({ empty: true });
  });
  after(() => db[Symbol.asyncDispose]());

  const readAs = async (type: string, array: Buffer) => {
    const [row] = await db.query<{ values: unknown[] }>(`select $1::${type}[] as values`, [array]);
    return row?.values;
  };

  it('comes to PostgreSQL value by value, with nulls in their places', async () => {
    const ids = ['01a20e3c-df82-7652-ac89-293ec615083e', null, 'ffffffff-ffff-ffff-ffff-ffffffffffff'];
    const texts = ['', null, 'naïve ☃ 😀', '{"a,b"}\\ NULL', 'NULL'];
    const bytes = [Buffer.alloc(0), null, Buffer.from([0, 255, 92, 120])];
    expect(await readAs('uuid', binaryArray.uuids(ids))).to.deep.equal(ids);
    expect(await readAs('text', binaryArray.texts(texts))).to.deep.equal(texts);
    expect(await readAs('bytea', binaryArray.bytes(bytes))).to.deep.equal(bytes);
    expect(await readAs('int', binaryArray.integers([1, null, -2147483648]))).to.deep.equal([1, null, -2147483648]);
    expect(await readAs('float8', binaryArray.floats([1.5, null, -1e300]))).to.deep.equal([1.5, null, -1e300]);
    const bigints = [2n ** 63n - 1n, null, -(2n ** 63n)];
    expect(await readAs('bigint', binaryArray.bigints(bigints))).to.deep.equal(bigints.map((it) => it && String(it)));
  });

  it('may be empty', async () => {
    expect(await readAs('text', binaryArray.texts([]))).to.deep.equal([]);
  });
});
