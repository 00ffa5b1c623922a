import { expect } from 'chai';
import { maskAddress, maskName, maskText } from '../../src/cli/terminal/mask.ts';

describe('masking', () => {
  it('keeps the first letter, and the domain of an address', () => {
    expect(maskAddress('ada@example.test')).to.equal('a***@example.test');
    expect(maskAddress('x@y.test')).to.equal('x***@y.test');
    expect(maskName('Ada Lovelace')).to.equal('A***');
    expect(maskName('東京')).to.equal('東***');
  });

  it("finds addresses and the sender's name in a text", () => {
    expect(maskText('550 <ada@example.test>: no such user')).to.equal('550 <a***@example.test>: no such user');
    expect(maskText("Hello, I am Ada (ada+x@e.test). O'Neil? Adamant!", "Ada O'Neil")).to.equal(
      'Hello, I am A*** (a***@e.test). O***? Adamant!',
    );
    expect(maskText('a@b@c.test, @d, x@y.test@')).to.equal('a***@b@c.test, @d, x***@y.test@');
    expect(maskText('a (b) [c] $1 .*', '.* (b) $1')).to.equal('a (*** [c] $*** .***');
  });

  it('takes time in proportion to the text', () => {
    for (const unit of ['a', 'a.', '@', '@@a', '<']) {
      const text = unit.repeat(200_000);
      expect(maskText(text).replaceAll('***', '').length).to.be.at.most(text.length);
    }
  });
});
