import type { IncomingMessage } from 'node:http';
import { expect } from 'chai';
import { coarseNetwork, networkOf, readIp } from '../../src/network/ip-network.ts';
import { clientAddressOf } from '../../src/server/http/client-address.ts';

function addressOf(proxies: number, forwarded: string | undefined, remoteAddress: string | undefined) {
  const request = { headers: { 'x-forwarded-for': forwarded }, socket: { remoteAddress } };
  return clientAddressOf(request as unknown as IncomingMessage, proxies);
}

describe('clientAddressOf', () => {
  const spoofed = '1.1.1.1, 2.2.2.2, 3.3.3.3';

  it('ignores the header without a proxy', () => {
    expect(addressOf(0, undefined, '203.0.113.7')).to.equal('203.0.113.7');
    expect(addressOf(0, spoofed, '203.0.113.7')).to.equal('203.0.113.7');
  });

  it('uses the entry that the outermost trusted proxy added', () => {
    expect(addressOf(1, '203.0.113.7', '10.0.0.1')).to.equal('203.0.113.7');
    expect(addressOf(1, `${spoofed}, 203.0.113.7`, '10.0.0.1')).to.equal('203.0.113.7');
    expect(addressOf(2, '203.0.113.7, 10.0.0.2', '10.0.0.1')).to.equal('203.0.113.7');
    expect(addressOf(2, `${spoofed},203.0.113.7 ,10.0.0.2`, '10.0.0.1')).to.equal('203.0.113.7');
  });

  it('uses the first entry if proxies are missing', () => {
    expect(addressOf(1, undefined, '10.0.0.1')).to.equal('10.0.0.1');
    expect(addressOf(2, '203.0.113.7', '10.0.0.1')).to.equal('203.0.113.7');
    expect(addressOf(3, undefined, '10.0.0.1')).to.equal('10.0.0.1');
  });

  it("falls back to the proxy's address on a bad entry", () => {
    for (const junk of [
      'unknown',
      '_hidden',
      '',
      '999.1.1.1',
      '1.2.3',
      'localhost',
      '::ffff:1.2.3.400',
      '1.2.3.4.5',
      'a:b',
    ]) {
      expect(addressOf(1, `1.1.1.1, ${junk}`, '10.0.0.1'), junk).to.equal('10.0.0.1');
      expect(addressOf(2, `1.1.1.1, ${junk}, 10.0.0.2`, '10.0.0.1'), junk).to.equal('10.0.0.2');
    }
  });

  it('is undefined if the connection is gone', () => {
    expect(addressOf(0, undefined, undefined)).to.equal(undefined);
    expect(addressOf(1, 'junk', undefined)).to.equal(undefined);
  });

  it('is fast and correct on the longest header that Node allows', () => {
    expect(addressOf(1, `${'1.1.1.1,'.repeat(2000)}203.0.113.7`, '10.0.0.1')).to.equal('203.0.113.7');
    expect(addressOf(1, `${'['.repeat(8000)}%`, '10.0.0.1')).to.equal('10.0.0.1');
  });
});

describe('readIp', () => {
  for (const [text, address] of [
    ['203.0.113.7', '203.0.113.7'],
    [' 203.0.113.7:51234 ', '203.0.113.7'],
    ['2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
    ['[2001:db8::7]', '2001:db8::7'],
    ['[2001:db8::7]:443', '2001:db8::7'],
    ['"[2001:db8::7]:443"', '2001:db8::7'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25eth0]:80', 'fe80::1'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['[::ffff:203.0.113.7]:80', '203.0.113.7'],
    ['::1', '::1'],
    ['203.0.113.07', undefined],
    ['203.0.113.7:999999', undefined],
    ['203.0.113.7, 1.1.1.1', undefined],
    ['for=203.0.113.7', undefined],
    ['[203.0.113.7]', undefined],
    ['2001:db8::7:', undefined],
    ['', undefined],
  ] as const) {
    it(`reads ${JSON.stringify(text)} as ${address ?? 'none'}`, () => {
      expect(readIp(text)).to.equal(address);
    });
  }
});

describe('networkOf', () => {
  it('is the address itself for IPv4, and the /64 for IPv6', () => {
    expect(networkOf('203.0.113.7')).to.equal('203.0.113.7');
    expect(networkOf('2001:db8:1:2:3:4:5:6')).to.equal('2001:db8:1:2::/64');
    expect(networkOf('2001:db8:1:2::6')).to.equal('2001:db8:1:2::/64');
    expect(networkOf('2001:db8::6')).to.equal('2001:db8:0:0::/64');
    expect(networkOf('2001:db8:1::')).to.equal('2001:db8:1:0::/64');
    expect(networkOf('::1')).to.equal('0:0:0:0::/64');
    expect(networkOf('::')).to.equal('0:0:0:0::/64');
    expect(networkOf('1:2:3:4:5:6:7::')).to.equal('1:2:3:4::/64');
  });

  it('is the same for everyone without a known address', () => {
    expect(networkOf(undefined)).to.equal('unknown');
  });
});

describe('coarseNetwork', () => {
  for (const [address, network] of [
    ['203.0.113.7', '203.0.113.0/24'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
    ['2001:db8::6', '2001:db8:0::/48'],
    ['::1', '0:0:0::/48'],
  ] as const) {
    it(`keeps ${network} of ${address}`, () => {
      expect(coarseNetwork(address)).to.equal(network);
    });
  }
});
