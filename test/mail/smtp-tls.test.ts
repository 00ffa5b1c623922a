import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect } from 'chai';
import { mailerTo, someMail } from '../support/smtp-mail.ts';
import { startSmtpServer, testCertificate } from '../support/smtp-server.ts';

const trusted = { ca: testCertificate };

/** Ends each connection when its first bytes arrive. */
async function listenAndDrop() {
  const server = createServer((socket) => socket.once('data', () => socket.destroy()));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: '127.0.0.1',
    port,
    [Symbol.asyncDispose]: async () => {
      await once(server.close(), 'close');
    },
  };
}

describe('SMTP: TLS', () => {
  it('from the first byte', async () => {
    await using server = await startSmtpServer({ tls: 'implicit' });
    await using mailer = mailerTo(server, { security: 'implicit', tls: trusted });

    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
    expect(server.messages[0]?.secure).to.equal(true);
    expect(await mailer.verify()).to.include({ result: 'accepted' });
  });

  it('lost before the greeting is "away", lost after EHLO is not', async () => {
    for (const [tls, step, result] of [
      ['implicit', 'greeting', 'away'],
      ['starttls', 'greeting', 'away'],
      ['starttls', 'starttls', 'later'],
      ['starttls', 'auth', 'later'],
    ] as const) {
      const auth = { user: 'site', password: 'secret' };
      await using server = await startSmtpServer({ tls, auth });
      server.answer(step, 'drop');
      await using mailer = mailerTo(server, { host: 'localhost', security: tls, tls: trusted, ...auth });
      for (const outcome of [await mailer.send(someMail()), await mailer.verify()]) {
        expect(outcome.result, `${tls}, ${step}: ${outcome.reply}`).to.equal(result);
      }
    }
  });

  it('that is cut in the handshake of its first bytes is "away"', async () => {
    await using listener = await listenAndDrop();
    await using mailer = mailerTo(listener, { security: 'implicit', tls: trusted });
    expect(await mailer.send(someMail())).to.include({ result: 'away' });
    expect(await mailer.verify()).to.include({ result: 'away' });
  });

  it('by STARTTLS, before the login', async () => {
    const auth = { user: 'site', password: 'secret' };
    await using server = await startSmtpServer({ tls: 'starttls', auth });
    await using mailer = mailerTo(server, { host: 'localhost', security: 'starttls', tls: trusted, ...auth });

    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
    expect(server.messages[0]).to.include({ secure: true, user: 'site' });
    expect(server.commands.indexOf('STARTTLS')).to.be.below(server.commands.indexOf('AUTH …'));
  });

  for (const security of ['implicit', 'starttls'] as const) {
    it(`${security}: an untrusted certificate is "broken", and no mail is sent`, async () => {
      await using server = await startSmtpServer({ tls: security });
      await using mailer = mailerTo(server, { security });

      const outcome = await mailer.send(someMail());

      expect(outcome.result).to.equal('broken');
      expect(outcome.reply).to.match(/self-signed/i);
      expect(await mailer.verify()).to.include({ result: 'broken' });
      expect(server.attempts).to.be.empty;
    });

    it(`${security}: a certificate in another name is "broken"`, async () => {
      await using server = await startSmtpServer({ tls: security });
      await using mailer = mailerTo(server, { security, tls: { ...trusted, servername: 'mail.example.com' } });

      expect(await mailer.send(someMail())).to.include({ result: 'broken' });
    });
  }

  it('a server without implicit TLS is "broken"', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { security: 'implicit', tls: trusted });

    expect(await mailer.send(someMail())).to.include({ result: 'broken' });
  });

  it('STARTTLS missing, refused or broken is "broken"', async () => {
    const auth = { user: 'site', password: 'secret' };
    await using server = await startSmtpServer({ auth });
    await using mailer = mailerTo(server, { security: 'starttls', tls: trusted, connectMs: 500, ...auth });

    expect(await mailer.send(someMail())).to.include({ result: 'broken', code: 502 });
    server.answer('starttls', '454 4.7.0 TLS not available', { times: 1 });
    expect(await mailer.send(someMail())).to.include({ result: 'broken', code: 454 });
    expect(server.commands.filter((command) => /^(AUTH|MAIL|RCPT)/.test(command))).to.be.empty;

    await using garbled = await startSmtpServer({ tls: 'starttls' });
    garbled.answer('starttls', 'garbage');
    await using other = mailerTo(garbled, { security: 'starttls', tls: trusted });
    expect(await other.send(someMail())).to.include({ result: 'broken' });
  });

  it('replies from before the handshake do not count after it', async () => {
    await using server = await startSmtpServer({ tls: 'starttls' });
    server.answer('starttls', { raw: '220 go\r\n550 injected\r\n' });
    await using mailer = mailerTo(server, { security: 'starttls', tls: trusted });

    expect(await mailer.send(someMail())).to.include({ result: 'accepted', reply: '250 2.0.0 queued' });
    expect(server.messages[0]?.secure).to.equal(true);
  });

  it('on this machine: STARTTLS if offered, else plain text', async () => {
    await using offering = await startSmtpServer({ tls: 'starttls' });
    await using one = mailerTo(offering);
    expect(await one.send(someMail())).to.include({ result: 'accepted' });
    expect(offering.messages[0]?.secure).to.equal(true);

    await using plain = await startSmtpServer();
    await using two = mailerTo(plain, { host: 'localhost' });
    expect(await two.send(someMail())).to.include({ result: 'accepted' });
    expect(plain.messages[0]?.secure).to.equal(false);

    await using refusing = await startSmtpServer({ tls: 'starttls' });
    refusing.answer('starttls', '454 4.7.0 TLS not available');
    await using three = mailerTo(refusing);
    expect(await three.send(someMail())).to.include({ result: 'accepted' });
  });
});
