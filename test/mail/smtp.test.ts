import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { expect } from 'chai';
import type { Mail, Outcome } from '../../src/mail/mailer.ts';
import type { SmtpOptions } from '../../src/mail/smtp/smtp-mailer.ts';
import { mailerTo, someMail } from '../support/smtp-mail.ts';
import {
  type Answer,
  type SmtpServerOptions,
  type Step,
  startSmtpServer,
  testCertificate,
} from '../support/smtp-server.ts';

/** Sends one mail to a server with one scripted answer. */
async function tryOnce(
  step: Step,
  answer: Answer,
  given: { server?: SmtpServerOptions; mailer?: Partial<SmtpOptions>; mail?: Partial<Mail> } = {},
) {
  await using server = await startSmtpServer(given.server);
  server.answer(step, answer);
  await using mailer = mailerTo(server, given.mailer);
  const outcome = await mailer.send(someMail(given.mail));
  return {
    outcome,
    connections: server.connections.total,
    messages: [...server.messages],
    attempts: [...server.attempts],
  };
}

/** The result of a failure that no reply explains: until EHLO is answered, there is no mail server. */
function beforeTheDot(step: Step | undefined): Outcome['result'] {
  return step === 'greeting' || step === 'ehlo' ? 'away' : 'later';
}

const withoutPipelining = { capabilities: ['8BITMIME'] };

describe('SMTP: an accepted mail', () => {
  it('arrives once, at one recipient, as it was composed', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server);

    const outcome = await mailer.send(
      someMail({
        subject: 'Grüße',
        text: 'ä\n.dot\n..dots\nFrom here\n',
        replyTo: 'ada@example.test',
        headers: { 'Auto-Submitted': 'auto-generated' },
      }),
    );

    expect(outcome).to.deep.equal({ result: 'accepted', code: 250, reply: '250 2.0.0 queued' });
    expect(server.messages).to.have.lengthOf(1);
    const [message] = server.messages;
    expect(message?.from).to.equal('site@example.test');
    expect(message?.to).to.deep.equal(['owner@example.test']);
    const parsed = await message?.parsed();
    expect(parsed?.subject).to.equal('Grüße');
    expect(parsed?.text?.trimEnd()).to.equal('ä\n.dot\n..dots\nFrom here');
    expect(parsed?.replyTo?.[0]?.address).to.equal('ada@example.test');
    expect(parsed?.date).to.equal('2026-11-22T07:33:00.000Z');
    expect(parsed?.headers.map((header) => header.key)).to.have.members([
      ...['auto-submitted', 'from', 'to', 'reply-to', 'subject', 'message-id', 'date', 'mime-version', 'content-type'],
    ]);
  });

  it('keeps its lines unchanged, even long ones', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server);
    const text = `${'word '.repeat(300)}\n> quoted \n  indented\n${'x'.repeat(5_000)}`;

    await mailer.send(someMail({ text }));

    expect((await server.messages[0]?.parsed())?.text?.trimEnd()).to.equal(text);
    for (const line of server.messages[0]?.raw.split('\r\n') ?? []) expect(line.length).to.be.at.most(78);
  });

  it('has the same bytes at every attempt', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server);
    const mail = someMail();

    await mailer.send(mail);
    await mailer.send(mail);

    expect(server.messages[0]?.raw).to.equal(server.messages[1]?.raw);
  });
});

describe('SMTP: a reply decides', () => {
  const cases: Array<[Step, string, Outcome['result']]> = [
    ['greeting', '421 4.3.2 busy', 'away'],
    ['greeting', '554 5.7.1 your host is on a list', 'broken'],
    ['ehlo', '502 5.5.1 no', 'broken'],
    ['ehlo', '421 4.3.2 closing', 'away'],
    ['ehlo', '450 4.3.2 busy', 'away'],
    ['mail', '451 4.3.0 try later', 'later'],
    ['mail', '421 4.7.0 too many', 'later'],
    ['mail', '550 5.7.1 sender refused', 'broken'],
    ['mail', '550 5.4.5 Daily user sending limit exceeded', 'later'],
    ['mail', '503 5.5.1 bad sequence', 'later'],
    ['mail', '530 5.7.0 must log in first', 'broken'],
    ['rcpt', '450 4.2.1 greylisted', 'later'],
    ['rcpt', '421 4.7.0 slow down', 'later'],
    ['rcpt', '550 5.1.1 no such user', 'refused'],
    ['rcpt', '503 5.5.1 bad sequence', 'later'],
    ['rcpt', '530 5.7.0 must log in first', 'later'],
    ['rcpt', '550 Domain site.test has exceeded the max emails per hour (125/100) allowed', 'later'],
    ['rcpt', '550 4.7.1 Greylisted', 'later'],
    ['mail', '550 4.7.1 Greylisted', 'later'],
    ['data', '451 4.3.0 no disk', 'later'],
    ['data', '552 5.3.4 too big', 'refused'],
    ['dot', '421 4.3.2 closing', 'later'],
    ['dot', '451 4.3.0 try later', 'later'],
    ['dot', '535 5.7.8 log in again', 'later'],
    ['dot', '550 5.4.5 Daily user sending limit exceeded', 'later'],
    ['dot', '554 5.2.2 Submission quota exceeded', 'later'],
    ['dot', '552 5.3.4 message size exceeds the limit of this sender', 'refused'],
    ['dot', '552 5.3.4 too big', 'refused'],
    ['dot', '554 5.7.1 spam', 'refused'],
    ['dot', '354 go on', 'unknown'],
  ];
  for (const [step, reply, result] of cases) {
    it(`${reply.slice(0, 3)} at ${step} is "${result}", with and without PIPELINING, in one connection`, async () => {
      for (const server of [{}, withoutPipelining]) {
        const { outcome, connections, messages } = await tryOnce(step, reply, { server });

        expect(outcome).to.deep.equal({ result, code: Number(reply.slice(0, 3)), reply });
        expect(connections).to.equal(1);
        expect(messages).to.be.empty;
      }
    });
  }

  // Further replies are in `unit/classify.test.ts`, where they need no server.
  for (const [step, reply, result] of [
    ['rcpt', '552-5.2.2 The email account that you tried to reach is\r\n552 5.2.2 out of storage space', 'later'],
    ['data', '554 5.3.1 Mail system full', 'later'],
    ['dot', '552 Message too large for this system', 'refused'],
  ] as const) {
    it(`${reply.slice(0, 40)} is "${result}"`, async () => {
      expect((await tryOnce(step, reply)).outcome).to.deep.equal({
        result,
        code: Number(reply.slice(0, 3)),
        reply: reply.replace(/\s+/g, ' '),
      });
    });
  }

  it('pauses for a full mailbox at MAIL, which is our own', async () => {
    expect((await tryOnce('rcpt', '550 user unknown: overquota@example.test over-quota@x.test')).outcome).to.include({
      result: 'refused',
    });
    expect((await tryOnce('mail', '552 5.2.2 Mailbox full')).outcome).to.include({ result: 'broken', code: 552 });
  });

  it('reads the wait that a temporary refusal asks for', async () => {
    const { outcome } = await tryOnce('rcpt', '450 4.2.0 Greylisted, please try again in 5 minutes');

    expect(outcome.retryAfterMs).to.equal(5 * 60_000);
  });

  it("refuses a mail over the server's size limit", async () => {
    await using server = await startSmtpServer({ sizeLimit: 2_000 });
    await using mailer = mailerTo(server);

    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
    expect(await mailer.send(someMail({ text: 'x'.repeat(3_000) }))).to.include({ result: 'refused', code: 552 });
  });

  it('opens a new connection if a server limits mails per connection', async () => {
    await using server = await startSmtpServer();
    server.answer('mail', ({ accepted }) => (accepted >= 2 ? '421 4.7.28 too many mails' : undefined));
    await using mailer = mailerTo(server, { lanes: 1 });

    for (let index = 0; index < 4; index += 1) expect(await mailer.send(someMail())).to.include({ result: 'accepted' });

    expect(server.connections.total).to.equal(2);
  });

  it('is "later" if a server limits mails in total', async () => {
    await using server = await startSmtpServer();
    server.answer('mail', () => (server.messages.length >= 2 ? '421 4.7.28 too many mails' : undefined));
    await using mailer = mailerTo(server, { lanes: 1 });

    const outcomes = [];
    for (let index = 0; index < 3; index += 1) outcomes.push(await mailer.send(someMail()));

    expect(outcomes.map((outcome) => outcome.result)).to.deep.equal(['accepted', 'accepted', 'later']);
    expect(outcomes[2]).to.include({ code: 421, reply: '421 4.7.28 too many mails' });
  });
});

describe('SMTP: a lost connection', () => {
  for (const step of ['greeting', 'ehlo', 'mail', 'rcpt', 'data'] as const) {
    const result = beforeTheDot(step);
    it(`lost at ${step} is "${result}", in one connection`, async () => {
      for (const answer of ['drop', 'reset'] as const) {
        const { outcome, connections } = await tryOnce(step, answer);

        expect(outcome.result, `${answer}: ${outcome.reply}`).to.equal(result);
        expect(outcome).to.not.have.property('code');
        expect(connections).to.equal(1);
      }
    });
  }

  it('lost in the middle of DATA is "later"', async () => {
    await using server = await startSmtpServer();
    server.answer('data', 'deaf');
    await using mailer = mailerTo(server);

    // More than the buffers of two sockets, so that the final dot cannot have left.
    const sending = mailer.send(someMail({ text: `${'x'.repeat(70)}\n`.repeat(300_000) }));
    (await server.held('data')).release('reset');

    expect(await sending).to.include({ result: 'later' });
    expect(server.attempts).to.be.empty;
  });

  it('lost during DATA after everything was sent is "unknown"', async () => {
    const { outcome } = await tryOnce('body', 'drop');

    expect(outcome.result).to.equal('unknown');
  });

  for (const answer of ['drop', 'reset'] as const) {
    it(`lost after the dot (${answer}) is "unknown", tried once`, async () => {
      const { outcome, attempts, connections } = await tryOnce('dot', answer);

      expect(outcome.result).to.equal('unknown');
      expect(outcome).to.not.have.property('code');
      expect(attempts).to.have.lengthOf(1);
      expect(connections).to.equal(1);
    });
  }

  it('that nobody accepts is "away"', async () => {
    const port = await closedPort();
    await using mailer = mailerTo({ host: '127.0.0.1', port }, { deadlineMs: 2_000 });

    const outcome = await mailer.send(someMail());

    expect(outcome.result).to.equal('away');
    expect(outcome.reply).to.match(/ECONNREFUSED/);
  });

  it('is "away" each time that EHLO is refused, and later at the greeting', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { lanes: 1 });
    const outcomes = [];
    for (const [step, answer] of [
      ['ehlo', '421 4.3.2 busy'],
      ['ehlo', '450 4.3.2 busy'],
      ['ehlo', 'drop'],
      ['ehlo', '421 4.3.2 busy'],
      ['greeting', '421 4.3.2 busy'],
    ] as const) {
      server.reset();
      server.answer(step, answer);
      outcomes.push((await mailer.send(someMail())).result);
    }
    expect(outcomes).to.deep.equal(Array(5).fill('away'));
  });

  it('to a host that does not exist is "broken"', async () => {
    await using mailer = mailerTo({ host: 'nowhere.invalid', port: 587 }, { security: 'starttls', connectMs: 1_500 });

    expect(await mailer.send(someMail())).to.include({ result: 'broken' });
  });
});

describe('SMTP: a server that never finishes', () => {
  /** A mail comes as far as its final dot in that time, also where the machine has other work. */
  const impatience = { deadlineMs: 2_000, answerMs: 2_000 };
  const impatient = { mailer: impatience };

  it('hanging at any step before the dot is put off at the deadline', async () => {
    const steps = ['greeting', 'ehlo', 'mail', 'rcpt', 'data'] as const;
    const tries = await Promise.all(steps.map((step) => tryOnce(step, 'hold', impatient)));

    for (const [index, { outcome, connections }] of tries.entries()) {
      expect(outcome.result, steps[index]).to.equal(beforeTheDot(steps[index]));
      expect(connections, steps[index]).to.equal(1);
    }
  });

  it('hanging after the dot is "unknown" at the deadline', async () => {
    await using server = await startSmtpServer();
    server.answer('dot', 'hold');
    await using mailer = mailerTo(server, impatience);

    expect(await mailer.send(someMail())).to.include({ result: 'unknown' });

    (await server.heldAfterDot()).release();
    await server.received(1);
  });

  it('waits for the reply to the dot longer than the deadline', async () => {
    await using server = await startSmtpServer();
    const patience = { silenceMs: 2_000, deadlineMs: 6_000, answerMs: 60_000 };
    await using mailer = mailerTo(server, { lanes: 1, ...patience });
    await using clock = mailerTo(server, patience);
    server.answer('rcpt', { drip: '250-still here ' }, { to: 'clock' });
    server.answer('dot', 'hold', { to: 'owner', times: 2 });
    let handedOver = 0;

    const sending = mailer.send(someMail(), { onHandedOver: () => (handedOver += 1) });
    const walking = mailer.walk(someMail(), () => {});
    const held = [await server.heldAfterDot(), await server.heldAfterDot()];
    // That one has found the deadline means that it is over for the two as well.
    expect(await clock.send(someMail({ to: 'clock@example.test' }))).to.include({ result: 'later' });
    for (const one of held) one.release();

    expect(await sending).to.include({ result: 'accepted' });
    expect((await walking).outcome).to.include({ result: 'accepted' });
    expect(handedOver).to.equal(1);
    server.answer('rcpt', 'hold', { to: 'owner', times: 1 });
    // Silence counts again: the kept connection is given up in time for a fresh one.
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
  });

  it('an abandoned attempt ends at once, even after the dot', async () => {
    await using server = await startSmtpServer();
    server.answer('dot', 'hold');
    await using mailer = mailerTo(server, { answerMs: 60_000 });
    const abandon = new AbortController();

    const sending = mailer.send(someMail(), { abandon: abandon.signal, onHandedOver: () => abandon.abort() });
    expect(await sending).to.include({ result: 'unknown' });
  });

  it('dripping is put off before the dot and "unknown" after it', async () => {
    const drip = { drip: '250-still here ', everyMs: 10 };
    const steps = ['greeting', 'rcpt', 'dot'] as const;
    const tries = await Promise.all(steps.map((step) => tryOnce(step, drip, impatient)));

    expect(tries.map(({ outcome }) => outcome.result)).to.deep.equal(['away', 'later', 'unknown']);
  });

  it('silence ends an attempt before the deadline', async () => {
    const before = performance.now();
    const { outcome } = await tryOnce('rcpt', 'hold', { mailer: { silenceMs: 100, deadlineMs: 10_000 } });

    expect(outcome.result).to.equal('later');
    expect(performance.now() - before).to.be.below(5_000);
  });

  it('each mail after a hang gets its own result', async () => {
    await using server = await startSmtpServer();
    server.answer('dot', 'hold', { times: 1 });
    await using mailer = mailerTo(server, { lanes: 1, ...impatience });

    expect(await mailer.send(someMail())).to.include({ result: 'unknown' });
    server.answer('rcpt', 'drop', { times: 1 });
    expect(await mailer.send(someMail())).to.include({ result: 'later' });
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
  });
});

describe('SMTP: a hostile server', () => {
  it('a long reply is cut, and one of 1 MB is not read', async () => {
    const long = await tryOnce('rcpt', `550 ${'x'.repeat(10_000)}`);
    const huge = await tryOnce('rcpt', `550 ${'x'.repeat(1 << 20)}`);

    expect(long.outcome).to.include({ result: 'refused', code: 550, reply: `550 ${'x'.repeat(495)}…` });
    expect(huge.outcome.result).to.equal('later');
  });

  it('a line without an end is "later" before the dot and "unknown" after it', async () => {
    const raw = `250 ${'x'.repeat(1 << 20)}`;

    expect((await tryOnce('rcpt', { raw })).outcome.result).to.equal('later');
    expect((await tryOnce('dot', { raw })).outcome.result).to.equal('unknown');
  });

  it('an endless EHLO is "away"', async () => {
    const { outcome } = await tryOnce('ehlo', { raw: '250-X-MORE\r\n'.repeat(20_000) });

    expect(outcome.result).to.equal('away');
  });

  it('escape, bidi and invisible characters are removed', async () => {
    const { outcome } = await tryOnce(
      'dot',
      '554 \x1b]0;owned\x07 \x1b[2Jno\u009b31m \u202egnp.exe\u200b \u2028 zero\0',
    );

    expect(outcome.reply).to.equal('554 ]0;owned [2Jno 31m gnp.exe zero');
  });

  it('an extra reply does not make a mail accepted', async () => {
    const { outcome, messages } = await tryOnce(
      'rcpt',
      { raw: '250 ok\r\n250 and another\r\n' },
      { server: withoutPipelining },
    );

    expect(outcome.result).to.not.equal('accepted');
    expect(messages).to.have.lengthOf.at.most(1);
  });
});

describe('SMTP: a reply that is not SMTP', () => {
  const auth = { user: 'site', password: 'right horse' };
  const secured: SmtpServerOptions = { tls: 'starttls', auth };
  const mailer: Partial<SmtpOptions> = {
    host: 'localhost',
    security: 'starttls',
    tls: { ca: testCertificate },
    ...auth,
  };
  const nonsense: Array<{ answer: Answer; shown: string; exceptAt?: Step }> = [
    ...[
      'xyzzy nonsense',
      '55 no',
      '5',
      '5501 no',
      '550no',
      '999 what',
      '000 x',
      '150 x',
      'HTTP/1.1 400 Bad Request',
    ].map((it) => ({ answer: it, shown: it })),
    { answer: '354 go on', shown: '354 go on', exceptAt: 'data' },
    { answer: { raw: '\0\x01\xfe\xff550\x07\r\n' }, shown: 'þÿ550' },
    { answer: { raw: `x${'y'.repeat(1 << 17)}\r\n` }, shown: 'exceeds maximum allowed size' },
  ];
  const steps: Step[] = ['greeting', 'ehlo', 'starttls', 'auth', 'mail', 'rcpt', 'data', 'dot'];

  for (const step of steps) {
    const result = step === 'dot' ? 'unknown' : beforeTheDot(step);
    it(`at ${step} is "${result}", and its words are shown`, async () => {
      for (const { answer, shown, exceptAt } of nonsense) {
        if (step === exceptAt) continue;
        const { outcome, messages } = await tryOnce(step, answer, { server: secured, mailer });

        expect(outcome.result, shown).to.equal(result);
        expect(outcome.reply).to.include(shown);
        expect(messages).to.be.empty;
      }
    });
  }

  it('is "later" without PIPELINING too', async () => {
    for (const step of ['mail', 'rcpt', 'data'] as const) {
      const { outcome } = await tryOnce(step, 'xyzzy nonsense', { server: withoutPipelining });

      expect(outcome).to.deep.equal({ result: 'later', reply: 'xyzzy nonsense' });
    }
  });

  it('is "unknown" after the dot although it begins with a 2', async () => {
    for (const answer of ['2 errors', '25 ok', '2500 ok', '250ok'])
      expect((await tryOnce('dot', answer)).outcome).to.deep.equal({ result: 'unknown', reply: answer });
  });

  it('skips an empty line and waits for a reply', async () => {
    const impatient = { mailer: { deadlineMs: 2_000, answerMs: 2_000 } };
    const tries = await Promise.all(
      (['greeting', 'mail', 'rcpt', 'data', 'dot'] as const).map((step) => tryOnce(step, { raw: '\r\n' }, impatient)),
    );

    expect(tries.map((it) => it.outcome.result)).to.deep.equal(['away', 'later', 'later', 'later', 'unknown']);
  });

  it('is reported as closed if the server only took the connection', async () => {
    const { outcome, connections } = await tryOnce('greeting', 'drop');
    expect(outcome).to.deep.equal({
      result: 'away',
      reply: 'the mail server closed the connection before it greeted',
    });
    expect(connections).to.equal(1);
  });

  it('closes the connection, so it cannot decide the next mail', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { lanes: 1, idleMs: 60_000 });
    server.answer('dot', { raw: '999 what\r\n550 5.1.1 no such user\r\n' }, { times: 1 });

    expect(await mailer.send(someMail())).to.include({ result: 'unknown' });
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
    expect(server.connections.total).to.equal(2);
  });

  it('on a kept connection counts as no attempt', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { lanes: 1, idleMs: 60_000 });
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
    server.answer('mail', 'xyzzy nonsense', { times: 1 });

    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
  });

  it('is reported by verify and by a walk', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server);
    server.answer('mail', 'xyzzy nonsense');
    expect(await mailer.verify()).to.deep.equal({ result: 'later', reply: 'xyzzy nonsense' });
    server.answer('mail', '250 2.1.0 ok');
    server.answer('dot', '25 ok');
    const steps: string[] = [];
    const { outcome } = await mailer.walk(someMail(), (it) => steps.push(`${it.step} ${it.isOk}`));
    expect(outcome).to.deep.equal({ result: 'unknown', reply: '25 ok' });
    expect(steps.at(-1)).to.equal('accepted false');
  });
});

describe('SMTP: login', () => {
  const auth = { user: 'site', password: 'right horse' };

  for (const method of ['PLAIN', 'LOGIN'] as const) {
    it(`logs in with ${method}`, async () => {
      await using server = await startSmtpServer({ auth: { ...auth, methods: [method] } });
      await using mailer = mailerTo(server, auth);

      expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
      expect(server.messages[0]?.user).to.equal('site');
    });
  }

  it('a wrong password is "broken"', async () => {
    await using server = await startSmtpServer({ auth });
    await using mailer = mailerTo(server, { ...auth, password: 'wrong' });

    expect(await mailer.send(someMail())).to.include({ result: 'broken', code: 535 });
    expect(await mailer.verify()).to.include({ result: 'broken', code: 535 });
  });

  it('no login where one is required is "broken"', async () => {
    await using server = await startSmtpServer({ auth });
    await using mailer = mailerTo(server);

    expect(await mailer.send(someMail())).to.include({ result: 'broken', code: 530 });
  });

  it('a server without a login is "broken" if there is a user', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, auth);

    expect(await mailer.send(someMail())).to.include({ result: 'broken' });
    expect(server.messages).to.be.empty;
  });

  it('a login that fails temporarily is "later"', async () => {
    await using server = await startSmtpServer({ auth });
    server.answer('auth', '454 4.7.0 temporary authentication failure');
    await using mailer = mailerTo(server, auth);

    expect(await mailer.send(someMail())).to.include({ result: 'later', code: 454 });
  });

  it('verify logs in, tries MAIL FROM, and sends nothing', async () => {
    await using server = await startSmtpServer({ auth });
    await using mailer = mailerTo(server, { ...auth, helloName: 'site.example.test' });

    expect(await mailer.verify()).to.deep.equal({ result: 'accepted', code: 250, reply: '250 2.1.0 ok' });
    await server.until(() => server.connections.open === 0, 'the goodbye');
    expect(server.commands).to.deep.equal([
      'EHLO site.example.test',
      'AUTH …',
      'MAIL FROM:<site@example.test>',
      'RSET',
      'QUIT',
    ]);
  });

  it('verify returns what MAIL FROM would return', async () => {
    await using server = await startSmtpServer({ auth });
    await using mailer = mailerTo(server, auth);
    for (const [reply, result] of [
      ['550 5.7.1 not for you', 'broken'],
      ['530 5.7.0 log in again', 'broken'],
      ['550 5.4.5 Daily user sending limit exceeded', 'later'],
      ['421 4.7.0 closing', 'later'],
    ] as const) {
      server.answer('mail', reply);
      expect(await mailer.verify(), reply).to.deep.equal({ result, code: Number(reply.slice(0, 3)), reply });
    }
    server.answer('mail', 'drop');
    expect(await mailer.verify()).to.include({ result: 'later' });
  });

  it('verify ends at the deadline, at a drop, and with the mailer', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { deadlineMs: 200 });
    server.answer('ehlo', { drip: '250-' }, { times: 1 });
    expect(await mailer.verify()).to.include({ result: 'away' });

    server.answer('greeting', 'drop', { times: 1 });
    expect(await mailer.verify()).to.include({ result: 'away' });

    server.answer('ehlo', 'hold', { times: 1 });
    const patient = mailerTo(server);
    const verifying = patient.verify();
    await server.held('ehlo');
    await patient[Symbol.asyncDispose]();
    expect(await verifying).to.include({ result: 'away' });
  });
});

describe('SMTP: what is done before the text', () => {
  it('comes after the 354, and decides whether the text is sent', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { lanes: 1, idleMs: 60_000 });
    const seen: string[] = [];
    const answer = (may: boolean) => async () => {
      seen.push(server.commands.at(-1) ?? '');
      return may;
    };
    expect(await mailer.send(someMail(), { beforeText: answer(false) })).to.include({ result: 'later' });
    expect(server.attempts, 'not even an empty mail').to.be.empty;
    expect(await mailer.send(someMail(), { beforeText: answer(true) })).to.include({ result: 'accepted' });
    expect(seen).to.deep.equal(['DATA', 'DATA']);
    server.answer('rcpt', '550 5.1.1 no such user');
    expect(await mailer.send(someMail(), { beforeText: answer(true) })).to.include({ result: 'refused' });
    expect(seen, 'a refused recipient needs none').to.have.lengthOf(2);
  });

  it('has no effect on the next mail if it comes too late', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { lanes: 1, idleMs: 60_000 });
    const late = Promise.withResolvers<boolean>();
    server.answer('data', { raw: '354 go on\r\n421 4.3.2 closing\r\n' }, { times: 1 });
    expect(await mailer.send(someMail(), { beforeText: () => late.promise })).to.include({
      result: 'later',
      code: 421,
    });
    server.answer('rcpt', 'hold', { times: 1 });
    const next = mailer.send(someMail());
    const held = await server.held('rcpt');
    late.resolve(true);
    await new Promise(setImmediate);
    held.release('drop');
    expect((await next).result).to.equal('later');
    expect(server.attempts).to.be.empty;
  });
});

describe('SMTP: lanes', () => {
  it('sends ten mails at once; a hung one blocks no other', async () => {
    await using server = await startSmtpServer();
    server.answer('dot', 'hold');
    await using mailer = mailerTo(server);
    expect(mailer.lanes).to.equal(10);

    const sending = Array.from({ length: 10 }, () => mailer.send(someMail()));
    const held = [];
    for (let index = 0; index < 10; index += 1) held.push(await server.heldAfterDot());
    expect(await mailer.send(someMail())).to.deep.equal({ result: 'later', reply: 'all lanes are busy' });

    held[0]?.release();
    await Promise.race(sending);
    sending.push(mailer.send(someMail()));
    held.push(await server.heldAfterDot());
    expect(server.connections.total).to.equal(10);
    for (const one of held.slice(1)) one.release();
    const outcomes = await Promise.all(sending);
    expect(outcomes.map((outcome) => outcome.result)).to.deep.equal(Array(11).fill('accepted'));
  });

  it('a server that does not answer QUIT delays nothing', async () => {
    await using server = await startSmtpServer();
    server.answer('quit', 'hold');
    await using mailer = mailerTo(server, { lanes: 1, idleMs: 30, silenceMs: 60_000 });
    await mailer.send(someMail());
    await server.held('quit');

    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
  });

  it('reuses a connection, after a rejection too, and quits when idle', async () => {
    await using server = await startSmtpServer();
    server.answer('rcpt', '550 5.1.1 no such user', { to: 'nobody' });
    await using mailer = mailerTo(server, { idleMs: 50 });

    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
    expect(await mailer.send(someMail({ to: 'nobody@example.test' }))).to.include({ result: 'refused' });
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });

    expect(server.connections.total).to.equal(1);
    await server.until(() => server.connections.open === 0, 'the connection to be closed');
    expect(server.commands.at(-1)).to.equal('QUIT');
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
  });

  it('a kept connection that the server closed counts as no attempt', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { lanes: 1, idleMs: 60_000 });
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });

    server.answer('mail', 'reset', { times: 1 });
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
    server.dropAll();
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });

    expect(server.messages).to.have.lengthOf(3);
    expect(server.connections.total).to.equal(3);
  });

  it('a mail refused in its data does not affect the next one', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { lanes: 1, deadlineMs: 60_000, silenceMs: 60_000 });
    server.answer('body', 'deaf', { times: 1 });
    // More than the buffers of two sockets, so that the end of it is still to come.
    const sending = mailer.send(someMail({ text: `${'x'.repeat(70)}\n`.repeat(150_000) }));
    (await server.held('body')).release('552 5.3.4 too big');
    expect(await sending).to.include({ result: 'refused', code: 552 });

    // In the next two connections: where the first is not fresh, its mail gets another.
    server.answer('rcpt', 'drop', { times: 2 });
    expect(await mailer.send(someMail())).to.include({ result: 'later' });
    server.answer('rcpt', '250 2.1.5 ok');
    expect(await mailer.send(someMail())).to.include({ result: 'accepted' });
  });

  it('a kept connection lost after the dot is not retried', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server, { lanes: 1, idleMs: 60_000 });
    await mailer.send(someMail());

    server.answer('dot', 'drop', { times: 1 });
    expect(await mailer.send(someMail())).to.include({ result: 'unknown' });
    expect(server.attempts).to.have.lengthOf(2);
  });
});

describe('SMTP: stopping', () => {
  for (const step of ['greeting', 'ehlo', 'rcpt'] as const) {
    it(`before the dot, a signal ends the attempt at once (${step})`, async () => {
      await using server = await startSmtpServer();
      server.answer(step, 'hold');
      await using mailer = mailerTo(server);
      const stop = new AbortController();

      const sending = mailer.send(someMail(), { signal: stop.signal });
      await server.held(step);
      stop.abort();

      expect(await sending).to.include({ result: 'later' });
    });
  }

  it('after the dot, a signal waits for the reply', async () => {
    await using server = await startSmtpServer();
    server.answer('dot', 'hold');
    await using mailer = mailerTo(server);
    const stop = new AbortController();

    const sending = mailer.send(someMail(), { signal: stop.signal });
    const held = await server.heldAfterDot();
    stop.abort();
    held.release();

    expect(await sending).to.include({ result: 'accepted' });
  });

  it('an earlier signal sends nothing', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server);

    expect(await mailer.send(someMail(), { signal: AbortSignal.abort() })).to.include({ result: 'later' });
    expect(server.connections.total).to.equal(0);
  });

  it('disposing ends all: "later" before the dot, "unknown" after', async () => {
    await using server = await startSmtpServer();
    server.answer('rcpt', 'hold', { to: 'slow' });
    server.answer('dot', 'hold', { to: 'late' });
    const mailer = mailerTo(server);

    const before = mailer.send(someMail({ to: 'slow@example.test' }));
    const after = mailer.send(someMail({ to: 'late@example.test' }));
    await mailer.send(someMail());
    await Promise.all([server.held('rcpt'), server.held('dot')]);
    let ended = 0;
    for (const sending of [before, after]) void sending.then(() => (ended += 1));
    await mailer[Symbol.asyncDispose]();

    expect(ended).to.equal(2);
    expect(await before).to.include({ result: 'later' });
    expect(await after).to.include({ result: 'unknown' });
    expect(await mailer.send(someMail())).to.include({ result: 'later' });
    await server.until(() => server.connections.open === 0, 'all connections to be closed');
  });
});

describe('SMTP: the end of the process', () => {
  const smtp = new URL('../../src/mail/smtp/smtp-mailer.ts', import.meta.url).href;
  const support = new URL('../support/smtp-mail.ts', import.meta.url).href;

  for (const [situation, end] of [
    ['at once after disposing', 'await mailer[Symbol.asyncDispose]()'],
    ['soon when nobody disposes', ''],
  ] as const) {
    it(`comes ${situation}`, async () => {
      await using server = await startSmtpServer();
      // A server that never hangs up by itself.
      server.answer('quit', 'hold');
      const script = `
        import { createSmtpMailer } from ${JSON.stringify(smtp)};
        import { someMail } from ${JSON.stringify(support)};
        const mailer = createSmtpMailer({ host: '127.0.0.1', port: ${server.port}, security: 'opportunistic', idleMs: 100, silenceMs: 500 });
        const { result } = await mailer.send(someMail());
        ${end};
        process.stdout.write(result);`;
      const before = performance.now();
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module-typescript', '-e', script]);

      expect(stdout).to.equal('accepted');
      expect(performance.now() - before).to.be.below(15_000);
    });
  }
});

describe('SMTP: what must never reach the network', () => {
  const addresses = [
    '',
    'root',
    'a@b@c.test',
    'a@example.test, b@example.test',
    'a@example.test,b@example.test',
    'a@example.test;b@example.test',
    'a@example.test b@example.test',
    'group: a@example.test, b@example.test;',
    'Ada <ada@example.test>',
    '<ada@example.test>',
    '"a b"@example.test',
    '"a@evil.test"@example.test',
    'ada@example.test(evil.test)',
    'u@good.test(x)evil.test',
    'ada@[127.0.0.1]',
    'ada@example.test\r\nRCPT TO:<b@example.test>',
    'ada@example.test\nBcc: b@example.test',
    'ada\0@example.test',
    'ada@exa mple.test',
    'ada@example..test',
    '.ada@example.test',
    'ada.@example.test',
    'ada@-example.test',
    'ada@example.test.',
    'ädä@example.test',
    'ada@exämple.test',
    `${'a'.repeat(65)}@example.test`,
    `a@${'b'.repeat(250)}.test`,
  ];

  it('a recipient or Reply-To that is not one plain address', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server);

    for (const address of addresses) {
      expect(await mailer.send(someMail({ to: address })), address).to.include({ result: 'refused' });
      expect(await mailer.send(someMail({ replyTo: address })), address).to.include({ result: 'refused' });
    }
    expect(server.connections.total).to.equal(0);
  });

  it('a From that is not one mailbox ("broken")', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server);

    for (const from of [
      '',
      'nobody',
      'a@b.test, c@d.test',
      'A <a@b.test> B <c@d.test>',
      'A\r\nBcc: c@d.test <a@b.test>',
    ]) {
      expect(await mailer.send(someMail({ from })), from).to.include({ result: 'broken' });
    }
    expect(server.connections.total).to.equal(0);
  });

  it('a header that contains another header', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server);
    const mails: Array<Partial<Mail>> = [
      { subject: 'Hello\r\nBcc: evil@example.test' },
      { subject: 'Hello\nX: y' },
      { subject: 'Hello\u2028X: y' },
      { subject: 'Hello\u0085X: y' },
      { headers: { 'X-A': 'b\r\nBcc: evil@example.test' } },
      { headers: { 'X-A\r\nBcc': 'evil@example.test' } },
      { headers: { Bcc: 'evil@example.test' } },
      { headers: { to: 'evil@example.test' } },
      { headers: { 'X-Long': 'x'.repeat(1_000) } },
      { internetMessageId: '<a@b>\r\nBcc: evil@example.test' },
      { internetMessageId: 'no brackets' },
      { references: ['<a@b>', '<c@d>\r\nX: y'] },
      { inReplyTo: 'x' },
    ];
    for (const mail of mails) {
      expect(await mailer.send(someMail(mail)), JSON.stringify(mail)).to.include({ result: 'refused' });
    }
    expect(server.connections.total).to.equal(0);
  });

  it('a file or a web page instead of text', async () => {
    await using server = await startSmtpServer();
    await using mailer = mailerTo(server);

    for (const text of [{ path: '/etc/passwd' }, { href: 'http://127.0.0.1/' }, ['x'], null, undefined]) {
      const mail = someMail({ text: text as unknown as string });
      expect(await mailer.send(mail), JSON.stringify(text)).to.include({ result: 'refused' });
    }
    expect(server.connections.total).to.equal(0);
  });
});

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
