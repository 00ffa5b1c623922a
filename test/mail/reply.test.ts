import { expect } from 'chai';
import { isPlainAddress, readMailbox } from '../../src/address.ts';
import { helloNameFor, securityFor } from '../../src/mail/smtp/defaults.ts';
import { cleanReply, readRetryAfter } from '../../src/mail/smtp/reply.ts';
import { isLoopback } from '../../src/network/ip-network.ts';

describe('cleanReply', () => {
  it('joins a reply of several lines into one', () => {
    expect(cleanReply('550-5.1.1 The mailbox\r\n550 5.1.1 does not exist')).to.equal(
      '550-5.1.1 The mailbox 550 5.1.1 does not exist',
    );
  });

  it('removes control characters and never cuts a character in half', () => {
    const hostile = `${String.fromCharCode(...Array(32).keys(), 127, ...Array.from({ length: 32 }, (_, index) => 128 + index))}\u202a\u2066\u200f\ufeff\u{e0041}\ud800`;

    expect(cleanReply(`a${hostile}b`)).to.equal('a \ufffdb');
    expect(cleanReply(`${'x'.repeat(498)}😀😀`).isWellFormed()).to.equal(true);
    expect(cleanReply('😀'.repeat(5_000))).to.have.lengthOf.at.most(500);
  });

  it('is fast with a megabyte of text', () => {
    for (const text of ['a', ' ', '\x1b', '\u202e', 'wait ', 'again 1', '9'])
      readRetryAfter(cleanReply(text.repeat(1 << 20)));
  });
});

describe('readRetryAfter', () => {
  const cases: Array<[string, number | undefined]> = [
    ['450 4.2.0 Greylisted, try again in 300 seconds', 300_000],
    ['451 Please try again in 5 minutes', 300_000],
    ['450 4.7.1 retry in 1 hour', 3_600_000],
    ['421 try again in 60s', 60_000],
    ['421 Try again later in 2min', 120_000],
    ['450 Greylisting in action, please come back later: wait 00 or 30 sec', undefined],
    ['451 retry after 90 secs please', 90_000],
    ['450 try again in 999999 hours', 86_400_000],
    ['450 4.2.1 mailbox busy', undefined],
    ['451 4.7.1 Try again later', undefined],
    ['450 more than 20 messages', undefined],
    ['451 try again later, in 2 hrs.', 7_200_000],
    ['451 retry later, 2 h limit', undefined],
    ['451 try later 10m.mail.example', undefined],
    ['451 wait 5 m-1.example', undefined],
    ['451 again 300 sessions', undefined],
  ];
  for (const [reply, expected] of cases) {
    it(`${expected ?? 'nothing'} in "${reply}"`, () => expect(readRetryAfter(reply)).to.equal(expected));
  }
});

describe('securityFor', () => {
  it('is TLS from the start on port 465, for every host', () => {
    for (const host of ['smtp.gmail.com', 'localhost', '127.0.0.1'])
      expect(securityFor(host, 465)).to.equal('implicit');
  });

  it('requires STARTTLS on other ports', () => {
    for (const port of [25, 587, 2525]) expect(securityFor('mail.example.com', port)).to.equal('starttls');
  });

  it('allows plain text only to this machine', () => {
    for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.8.9.10', '::1', '[::1]', '::ffff:127.0.0.1']) {
      expect(securityFor(host, 25), host).to.equal('opportunistic');
    }
  });

  it('is not fooled by names and numbers that look like localhost', () => {
    const names = [
      'localhost.example.com',
      '127.0.0.1.example.com',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0.0.0.0',
      '::',
      '10.0.0.1',
      '::2',
      'localhost.',
      'my-localhost',
      '',
    ];
    for (const host of names) {
      expect(isLoopback(host), host).to.equal(false);
      expect(securityFor(host, 587), host).to.equal('starttls');
    }
  });
});

describe('helloNameFor', () => {
  const cases: Array<[machine: string, publicUrl: string, name: string]> = [
    ['web.example.test', 'https://forms.example.test', 'web.example.test'],
    ['3f0c9a1b2d4e', 'https://forms.example.test:8443/path', 'forms.example.test'],
    ['localhost.localdomain', 'https://forms.example.test', 'forms.example.test'],
    ['192.0.2.1', 'http://192.0.2.1', 'mail.test'],
    ['box', 'http://localhost:3000', 'mail.test'],
    ['box', 'http://[::1]:3000', 'mail.test'],
    ['', 'http://intranet', 'mail.test'],
  ];
  for (const [machine, publicUrl, name] of cases) {
    it(`is ${name} on "${machine}" at ${publicUrl}`, () =>
      expect(helloNameFor({ machine, publicUrl, from: 'forms@mail.test' })).to.equal(name));
  }
});

describe('addresses', () => {
  it('accepts plain addresses', () => {
    const plain = [
      'a@b',
      'owner@localhost',
      'ada.lovelace+tag@engine.example',
      "o'neil@example.test",
      'x_y-z=!#$%&*/?^`{|}~@a-b.c1.test',
      'a@xn--bcher-kva.example',
    ];
    for (const address of plain) expect(isPlainAddress(address), address).to.equal(true);
  });

  it('reads the forms that MAIL_FROM may have', () => {
    expect(readMailbox('a@b.test')).to.deep.equal({ address: 'a@b.test' });
    expect(readMailbox('<a@b.test>')).to.deep.equal({ address: 'a@b.test' });
    expect(readMailbox('  Müller & Söhne <a@b.test> ')).to.deep.equal({ name: 'Müller & Söhne', address: 'a@b.test' });
    expect(readMailbox('"Doe, Jane" <a@b.test>')).to.deep.equal({ name: 'Doe, Jane', address: 'a@b.test' });
  });

  it('is fast with a very long address', () => {
    for (const text of ['a', 'a.', '.', '@', '-', 'a-'])
      isPlainAddress(`${text.repeat(1 << 20)}@${text.repeat(1 << 20)}`);
    for (const text of ['a', 'a.', '-', 'a-']) isPlainAddress(`a@${text.repeat(120)}!`);
  });
});
