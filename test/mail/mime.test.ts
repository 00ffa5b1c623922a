import { expect } from 'chai';
import MailComposer from 'nodemailer/lib/mail-composer';
import { written } from '../../src/mail/mime.ts';

describe('a written mail', () => {
  it('has the same bytes as nodemailer builds', async () => {
    const texts = [
      'Hello\n',
      '',
      ' ends in white space \t \n',
      'naïve ☃ 😀\r\nmixed\nline\rends\n\n',
      `${'long '.repeat(300)}\n${'x'.repeat(2000)}`,
      '.\n..\n.hidden dots',
      'From the start = equals =3D\n-- \nsignature',
      'ы'.repeat(3000),
      '漢字'.repeat(5000),
      `${'a'.repeat(4095)} \n${'é'.repeat(70_000)}`,
    ];
    for (const text of texts) {
      const composer = () =>
        new MailComposer({
          from: { name: 'Ädá "quoted"', address: 'ada@example.test' },
          to: { name: '', address: 'owner@example.test' },
          subject: `A question – ${text.slice(0, 40).replaceAll(/\s/g, ' ')}`,
          text,
          html: `<p>${text}</p>`,
          messageId: '<1@example.test>',
          date: new Date(0),
          headers: { 'Auto-Submitted': 'auto-replied' },
          baseBoundary: 'b',
        }).compile();
      const built = await composer().build();
      expect(written(composer()), JSON.stringify(text.slice(0, 30))).to.equal(built.toString('latin1'));
    }
  });
});
