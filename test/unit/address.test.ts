import { expect } from 'chai';
import { readAddress, readMailbox } from '../../src/address.ts';

describe('readAddress', () => {
  it('accepts plain addresses, with a lower-case punycode domain', () => {
    expect(readAddress('Ada.L+x@Example.COM')).to.equal('Ada.L+x@example.com');
    expect(readAddress("o'brien_{x}@sub.example.co.uk")).to.equal("o'brien_{x}@sub.example.co.uk");
    expect(readAddress('ada@bücher.example')).to.equal('ada@xn--bcher-kva.example');
  });

  it('rejects everything that mail software could read differently', () => {
    for (const text of [
      '',
      '@',
      'ada',
      'ada@',
      '@example.com',
      'ada@localhost',
      'a b@example.com',
      'ada@example..com',
      '.ada@example.com',
      'ada.@example.com',
      'ada@-example.com',
      'ada@example.com.',
      'ada@example.com,bob@example.com',
      'ada@example.com;x',
      '<ada@example.com>',
      '"ada"@example.com',
      'ada@example.com\n',
      'ada\r\n@example.com',
      'ada@example.com(x)',
      'ada(x)@example.com',
      'ada@[::1]',
      'ada@1.2.3.4',
      'ada@example.com/x',
      'ada@user:pw@example.com',
      'ada@example.com?x',
      'ädä@example.com',
      `${'a'.repeat(65)}@example.com`,
      `a@${'b'.repeat(64)}.com`,
      `a@${'b.'.repeat(125)}com`,
      'undisclosed:a@example.com;',
      'ada@exa%2emple.com',
    ]) {
      expect(readAddress(text), text).to.equal(undefined);
    }
  });

  it('is fast for texts that are made to be slow', () => {
    const slow = [
      `${'a.'.repeat(50_000)}@x`,
      `a@${'a-'.repeat(50_000)}`,
      '@'.repeat(100_000),
      `${'!'.repeat(120)}@${'a.'.repeat(60)}`,
    ];
    for (const text of slow) expect(readAddress(text)).to.equal(undefined);
  });
});

describe('readMailbox', () => {
  it('accepts an address with and without a name', () => {
    expect(readMailbox(' owner@localhost ')).to.deep.equal({ address: 'owner@localhost' });
    expect(readMailbox('Ada L. <ada@example.com>')).to.deep.equal({ name: 'Ada L.', address: 'ada@example.com' });
    expect(readMailbox('"Ada, L." <ada@example.com>')).to.deep.equal({ name: 'Ada, L.', address: 'ada@example.com' });
    expect(readMailbox('علی\u200cرضا <ada@example.com>')?.name).to.equal('علی\u200cرضا');
    expect(readMailbox('A\u202eda <ada@example.com>')).to.equal(undefined);
    expect(readMailbox('Ada <ada@example.com>, Bob <bob@example.com>')).to.equal(undefined);
    expect(readMailbox('Ada\r\nBcc: x <ada@example.com>')).to.equal(undefined);
    expect(readMailbox(' <ada@example.com> ')).to.deep.equal({ address: 'ada@example.com' });
    for (const text of [
      'A"da <ada@example.com>',
      'a@b <ada@example.com>',
      'Ada ada@example.com>',
      'Ada <<a@b.test>>',
    ]) {
      expect(readMailbox(text), text).to.equal(undefined);
    }
  });

  it('takes time in proportion to the text', () => {
    const many = 200_000;
    for (const unit of [' ', '"', '<', '>', 'a ', ' <', '\t"']) {
      for (const text of [
        unit.repeat(many),
        `a${unit.repeat(many)}<a@b.test> x`,
        `a <a@b.test>${unit.repeat(many)}x`,
      ]) {
        expect(readMailbox(text)).to.equal(undefined);
      }
    }
  });
});
