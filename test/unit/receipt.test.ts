import { expect } from 'chai';
import { makeReceipt, readReceipt, readTypedReceipt } from '../../src/services/ids.ts';

describe('receipt', () => {
  it('is RW- and ten characters to read aloud, different each time', () => {
    const receipts = Array.from({ length: 2000 }, makeReceipt);
    for (const receipt of receipts) expect(receipt).to.match(/^RW-[0-9A-HJKMNP-TV-Z]{10}$/);
    expect(new Set(receipts)).to.have.lengthOf(2000);
  });

  it('is read as people type it', () => {
    expect(readReceipt(' rw-0oi1lABCDE ')).to.equal('RW-00111ABCDE');
    expect(readReceipt('00111ABCDE')).to.equal('RW-00111ABCDE');
    for (const text of ['RW-RWABCDEFGH', 'rwabcdefgh', 'RWRWABCDEFGH']) {
      expect(readReceipt(text), 'the random part begins with RW').to.equal('RW-RWABCDEFGH');
    }
    for (const text of ['# rw 0011 1abcde', '(RW-00111ABCDE)', 'RW–00111\u00a0ABCDE']) {
      expect(readTypedReceipt(text)).to.equal('RW-00111ABCDE');
    }
    for (const text of ['', 'RW-', 'RW-00111ABCD', 'RW-00111ABCDU', '<script>'])
      expect(readReceipt(text)).to.equal(undefined);
  });
});
