import { expect } from 'chai';
import type { Step } from '../../src/mail/mailer.ts';
import type { SmtpOptions } from '../../src/mail/smtp/smtp-mailer.ts';
import { mailerTo, someMail } from '../support/smtp-mail.ts';
import { type SmtpServer, type SmtpServerOptions, startSmtpServer, testCertificate } from '../support/smtp-server.ts';

const trusted = { ca: testCertificate };
const auth = { user: 'forms@example.test', password: 'app password' };

/** The servers that `docs/how-to/` and `docs/operating/mail.md` tell how to use, as they behave. */
const providers: Record<string, { server: SmtpServerOptions; mailer: Partial<SmtpOptions> }> = {
  Gmail: {
    server: { tls: 'implicit', auth, sizeLimit: 35_882_577 },
    mailer: { security: 'implicit', tls: trusted, ...auth },
  },
  'Amazon SES': {
    server: { tls: 'starttls', auth: { ...auth, methods: ['PLAIN', 'LOGIN'] }, sizeLimit: 10_485_760 },
    mailer: { host: 'localhost', security: 'starttls', tls: trusted, ...auth },
  },
  'a plain relay': { server: { sizeLimit: 10_240_000 }, mailer: {} },
};

/** Goes through all steps and returns `step ok` or `step NOT: what was said`. */
async function walk(server: SmtpServer, changes: Partial<SmtpOptions>, mail = someMail()) {
  await using mailer = mailerTo(server, changes);
  const steps: Step[] = [];
  const { outcome, certificateEndsAt } = await mailer.walk(mail, (step) => steps.push(step));
  return {
    outcome,
    certificateEndsAt,
    steps,
    told: steps.map((it) => (it.isOk ? `${it.step} ok` : `${it.step} NOT`)),
  };
}

describe('SMTP as providers run it', () => {
  for (const [name, { server: serverOptions, mailer: mailerOptions }] of Object.entries(providers)) {
    describe(name, () => {
      it('accepts a mail, and each step is reported', async () => {
        await using server = await startSmtpServer(serverOptions);
        const { outcome, told, steps, certificateEndsAt } = await walk(server, mailerOptions);
        expect(outcome).to.include({ result: 'accepted', code: 250 });
        expect(told).to.deep.equal(
          ['connect', 'tls', 'login', 'mail', 'rcpt', 'data', 'accepted'].map((it) => `${it} ok`),
        );
        expect(JSON.stringify(steps)).to.not.include(auth.password);
        const [message] = server.messages;
        expect(message).to.include({ secure: serverOptions.tls !== undefined, user: serverOptions.auth?.user });
        if (serverOptions.tls !== undefined) expect(certificateEndsAt?.getTime()).to.be.greaterThan(Date.now());
      });

      it('refuses a mail over its size limit', async () => {
        await using server = await startSmtpServer({ ...serverOptions, sizeLimit: 2000 });
        await using mailer = mailerTo(server, mailerOptions);
        const large = await mailer.send(someMail({ text: 'x\n'.repeat(5000) }));
        expect(large.result).to.equal('refused');
        expect((await mailer.send(someMail())).result, 'the next one goes through').to.equal('accepted');
      });

      it('accepts three mails per connection, then 421: all arrive once', async () => {
        await using server = await startSmtpServer(serverOptions);
        server.answer('mail', ({ accepted }) =>
          accepted >= 3 ? '421 4.7.0 too many messages on this connection' : undefined,
        );
        await using mailer = mailerTo(server, { ...mailerOptions, lanes: 2 });
        let waiting = Array.from({ length: 12 }, () => someMail());
        for (let round = 0; round < 12 && waiting.length > 0; round++) {
          const outcomes = await Promise.all(waiting.map((mail) => mailer.send(mail)));
          for (const it of outcomes) expect(['accepted', 'later']).to.include(it.result);
          waiting = waiting.filter((_, index) => outcomes[index]?.result !== 'accepted');
        }
        expect(waiting).to.deep.equal([]);
        expect(new Set(server.messages.map((it) => it.raw))).to.have.lengthOf(12);
        expect(server.messages).to.have.lengthOf(12);
      });
    });
  }

  it('a wrong password is reported at the login step', async () => {
    for (const { server: serverOptions, mailer } of [providers.Gmail, providers['Amazon SES']].filter((it) => !!it)) {
      await using server = await startSmtpServer(serverOptions);
      const { outcome, told } = await walk(server, { ...mailer, password: 'wrong' });
      expect(told).to.deep.equal(['connect ok', 'tls ok', 'login NOT']);
      expect(outcome).to.include({ result: 'broken', code: 535 });
      expect(server.commands.join()).to.not.include('MAIL');
    }
  });

  it('a missing login is reported at MAIL', async () => {
    await using server = await startSmtpServer({ auth });
    const { outcome, told } = await walk(server, {});
    expect(told.slice(0, 4)).to.deep.equal(['connect ok', 'tls ok', 'login ok', 'mail NOT']);
    expect(outcome).to.include({ result: 'broken', code: 530 });
  });

  it('reports a missing STARTTLS or an untrusted certificate at the TLS step', async () => {
    await using plain = await startSmtpServer();
    expect((await walk(plain, { host: 'localhost', security: 'starttls' })).told.at(-1)).to.equal('tls NOT');
    await using unknown = await startSmtpServer({ tls: 'implicit' });
    expect((await walk(unknown, { security: 'implicit' })).told).to.deep.equal(['tls NOT']);
  });

  for (const [step, answer, expected] of [
    ['greeting', '554 5.7.1 your address is listed', 'connect NOT'],
    ['greeting', 'drop', 'connect NOT'],
    ['mail', '550 5.7.1 not this sender', 'mail NOT'],
    ['rcpt', '550 5.1.1 no such user', 'rcpt NOT'],
    ['data', '451 4.3.0 not now', 'data NOT'],
    ['dot', '552 5.3.4 too big', 'accepted NOT'],
    ['dot', 'drop', 'accepted NOT'],
  ] as const) {
    it(`${step} answered with "${answer}" is reported at that step`, async () => {
      await using server = await startSmtpServer();
      server.answer(step, answer);
      const { told, steps } = await walk(server, {});
      expect(told.at(-1)).to.equal(expected);
      expect(told.filter((it) => it.endsWith('NOT'))).to.have.lengthOf(1);
      if (answer !== 'drop') expect(steps.at(-1)?.detail).to.include(answer);
    });
  }

  it('454 from SES (too fast) is retried, and is no wrong password', async () => {
    const { server: serverOptions = {}, mailer = {} } = providers['Amazon SES'] ?? {};
    await using server = await startSmtpServer(serverOptions);
    server.answer('dot', '454 Throttling failure: Maximum sending rate exceeded.');
    const { outcome } = await walk(server, mailer);
    expect(outcome).to.include({ result: 'later', code: 454 });
  });
});
