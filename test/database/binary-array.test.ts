import { expect } from 'chai';
import { binaryArray } from '../../src/database/binary-array.ts';
import { columns } from '../../src/database/columns.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

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

  it('reaches PostgreSQL unchanged, with its nulls', async () => {
    const ids = ['01a20e3c-df82-7652-ac89-293ec615083e', null, 'ffffffff-ffff-ffff-ffff-ffffffffffff'];
    const texts = ['', null, 'naïve ☃ 😀', '{"a,b"}\\ NULL', 'NULL'];
    const bytes = [Buffer.alloc(0), null, Buffer.from([0, 255, 92, 120])];
    expect(await readAs('uuid', binaryArray.uuid(ids))).to.deep.equal(ids);
    expect(await readAs('text', binaryArray.text(texts))).to.deep.equal(texts);
    expect(await readAs('bytea', binaryArray.bytea(bytes))).to.deep.equal(bytes);
    expect(await readAs('bool', binaryArray.bool([true, null, false]))).to.deep.equal([true, null, false]);
    expect(await readAs('int', binaryArray.int([1, null, -2147483648]))).to.deep.equal([1, null, -2147483648]);
    expect(await readAs('float8', binaryArray.float8([1.5, null, -1e300]))).to.deep.equal([1.5, null, -1e300]);
    const bigints = [2n ** 63n - 1n, null, -(2n ** 63n)];
    expect(await readAs('bigint', binaryArray.bigint(bigints))).to.deep.equal(bigints.map((it) => it && String(it)));
  });

  it('can be empty', async () => {
    expect(await readAs('text', binaryArray.text([]))).to.deep.equal([]);
  });

  it('has the values of the column it is named after', async () => {
    const given = columns(
      { id: 'uuid', label: 'text', sealed: 'bytea', count: 'int', ms: 'float8', counts: 'bool' },
      2,
    );
    const rows = [
      {
        id: '01a20e3c-df82-7652-ac89-293ec615083e',
        label: 'one',
        sealed: Buffer.from([0, 255]),
        count: 1,
        ms: 0.5,
        counts: true,
      },
      { id: null, label: null, sealed: null, count: null, ms: null, counts: null },
    ];
    expect(given.next).to.equal(8);
    const all = await db.query(`select given.*, $1::int as first from ${given.as('given')}`, [
      7,
      ...given.values(rows),
    ]);
    expect(all).to.deep.equal(rows.map((row, index) => ({ ...row, n: String(index + 1), first: 7 })));

    const some = columns({ id: 'uuid', label: 'text', ms: 'float8' });
    const picked = `select given.*, cardinality(${some.array('id')}) as ids from ${some.as('given', 'ms', 'label')}`;
    expect(await db.query(picked, some.values(rows))).to.deep.equal([
      { ms: 0.5, label: 'one', n: '1', ids: 2 },
      { ms: null, label: null, n: '2', ids: 2 },
    ]);
  });
});
