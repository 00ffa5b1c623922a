import { expect } from 'chai';
import { validate, version } from 'uuid';
import { newId } from '../../src/services/ids.ts';

describe('new id', () => {
  it('is a version 7 UUID, greater than all earlier ones', () => {
    // The machine's clock may be set back a little meanwhile.
    const before = Date.now() - 1000;
    const ids = Array.from({ length: 20_000 }, newId);
    expect(ids.every((id) => validate(id) && version(id) === 7)).to.equal(true);
    expect(ids).to.deep.equal(ids.toSorted());
    expect(new Set(ids)).to.have.lengthOf(ids.length);
    const time = Number.parseInt((ids[0] ?? '').replace('-', '').slice(0, 12), 16);
    expect(time).to.be.within(before, Date.now() + 1000);
  });
});
