import { expect } from 'chai';
import { classify, type Progress, replyCode, watchGreeting } from '../../src/mail/smtp/classify.ts';

type Stage = 'greeting' | 'login' | 'mail' | 'rcpt' | 'data' | 'dot';

const stages: Record<Stage, { progress: Partial<Progress>; code: string; command: string }> = {
  greeting: { progress: {}, code: 'EPROTOCOL', command: 'CONN' },
  login: { progress: { greeted: true }, code: 'EPROTOCOL', command: 'AUTH' },
  mail: { progress: { greeted: true, began: true }, code: 'EENVELOPE', command: 'MAIL FROM' },
  rcpt: { progress: { greeted: true, began: true }, code: 'EENVELOPE', command: 'RCPT TO' },
  data: { progress: { greeted: true, began: true }, code: 'EMESSAGE', command: 'DATA' },
  dot: { progress: { greeted: true, began: true, handedOver: true }, code: 'EMESSAGE', command: 'DATA' },
};

/** As nodemailer reports a failure. */
function failAt(stage: Stage, error: { response?: string; code?: string; message?: string; originalCode?: unknown }) {
  const { progress, code, command } = stages[stage];
  const failure = Object.assign(new Error(error.message ?? 'failed'), { code, command, ...error });
  return classify(failure as Parameters<typeof classify>[0], {
    connected: true,
    greeted: false,
    began: false,
    handedOver: false,
    ...progress,
  });
}

describe('classify: a reply', () => {
  const replies: Record<'later' | 'refused' | 'broken' | 'away' | 'unknown', Array<[Stage, string]>> = {
    later: [
      // Full.
      ['rcpt', '552 5.2.2 The recipient is over quota'],
      ['rcpt', '552-5.2.2 The email account that you tried to reach is\r\n552 5.2.2 out of storage space'],
      ['rcpt', '550 5.2.2 <owner@example.test>: user has too much mail'],
      ['rcpt', '550-The email account\r\n550 5.2.2 has no room'],
      ['rcpt', '550  5.2.2 no room'],
      ['rcpt', '550 The mailbox for owner@example.test is full'],
      ['dot', '550 recipient storage full'],
      ['rcpt', '550 #5.2.2 Mailbox size limit exceeded, message too large'],
      ['rcpt', '552 Too many recipients'],
      ['rcpt', '550 Mailbox quota exceeded'],
      ['rcpt', "550 The user's mailbox is full"],
      ['rcpt', '550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents more'],
      ['data', '554 5.5.3 Too many recipients'],
      ['data', '554 5.3.1 Mail system full'],
      ['dot', '552 5.2.2 The mailbox has exceeded its daily quota'],
      ['dot', '552 Requested mail action aborted: exceeded storage allocation'],
      ['dot', '554 delivery error: this account is over quota'],
      ['dot', '554 5.2.2 mailbox full; STOREDRV.Deliver'],
      ['dot', '452 4.2.2 Mailbox full'],
      ...[
        ...['full mailbox', 'user overquota', 'quota exceeded', 'quota for user exceeded', 'mailbox exceeded'],
        ...['storage was really exceeded', 'would exceed your quota', 'insufficient storage', 'out of disk storage'],
        ...['no space left', 'no disk space left', 'receiving email too quickly', 'mailbox full, see 552 5.3.4'],
      ].map((it): [Stage, string] => ['rcpt', `550 ${it}`]),
      // Too much from us, for now.
      ['mail', '550 5.4.5 try tomorrow'],
      ...[
        'daily limit',
        'daily limits',
        'daily quota',
        'daily quotas',
        'sending rate',
        'sending rates',
        'daily max',
      ].map((it): [Stage, string] => ['mail', `550 ${it} exceeded`]),
      ...['daily maximum reached', 'sender limit reached', 'over the limit of 10 per hour'].map(
        (it): [Stage, string] => ['mail', `550 ${it}`],
      ),
      // Temporary, whatever the first digit.
      ['dot', '400 busy'],
      ['mail', '503 5.5.1 bad sequence'],
      ['rcpt', '550 4.7.1 Greylisted'],
      ['rcpt', '550-#4.7.1 Greylisted'],
      // A login that is required only now.
      ...[530, 534, 535, 538].map((code): [Stage, string] => ['rcpt', `${code} log in first`]),
    ],
    refused: [
      ['rcpt', '552 5.3.4 Message size exceeds the storage of this mailbox'],
      ['rcpt', '552 5.1.1 No such mailbox'],
      ['rcpt', '552 Message size exceeds maximum'],
      ['rcpt', '550 5.1.1 The email account does not exist'],
      ['rcpt', '550 5.2.1 This mailbox is disabled'],
      ['rcpt', '550 user unknown: overquota@example.test over-quota@x.test'],
      ['dot', '552 5.2.3 Message length exceeds the limit of the mailbox'],
      ['dot', '552 Message too large for this system'],
      ['dot', '554 5.7.1 Full body scan: spam'],
      // Words in an address, and codes inside the text.
      ['rcpt', '550-over-quota@x.test is unknown'],
      ['rcpt', '550 unknown: ada@x-over-quota.test'],
      ['rcpt', '550 see 552 5.2.2'],
      ['rcpt', '550 no, see 552'],
      ['rcpt', '554 5.7.1 see 550 4.7.1'],
      ['rcpt', '554 5.7.1 see 550 5.4.5'],
      ['rcpt', '550 5.2.3 mailbox full'],
      ['rcpt', '550 #5.3.4 mailbox full'],
      ['rcpt', '500 no'],
      ['data', '552 no'],
      ['dot', '552 no'],
    ],
    broken: [
      ['mail', '552 5.2.2 Mailbox full'],
      ['mail', '550 daily limit of the mailbox exceeded'],
      ['greeting', '554 no service'],
      ['greeting', '554 daily limit exceeded'],
      ['login', '550 5.7.1 no'],
    ],
    away: [['greeting', '421 4.3.2 busy, try again in 5 minutes']],
    unknown: [['dot', '354 go on']],
  };
  for (const [result, cases] of Object.entries(replies)) {
    it(`that means "${result}"`, () => {
      for (const [stage, response] of cases) {
        const reply = response.replace(/\s+/g, ' ');
        expect(failAt(stage, { response }), `${stage} ${response}`).to.deep.equal({
          result,
          code: Number(response.slice(0, 3)),
          reply,
        });
      }
    });
  }

  it('is searched for words only at its beginning', () => {
    expect(failAt('rcpt', { response: `550 ${'x '.repeat(1_000)} mailbox full` })).to.include({ result: 'refused' });
  });

  it('may ask for a wait if the mail is tried again', () => {
    const words = 'try again in 5 minutes';
    expect(failAt('rcpt', { response: `450 4.2.0 ${words}` })).to.include({ retryAfterMs: 300_000 });
    expect(failAt('rcpt', { response: `550 5.1.1 ${words}` })).to.not.have.property('retryAfterMs');
    expect(failAt('rcpt', { code: 'ETIMEDOUT', message: words })).to.deep.equal({ result: 'later', reply: words });
  });

  it('to a login is "later" only with a 4xx code', () => {
    const results = ['400 x', '454 x', '500 x', '503 x', '535 x'].map((response) =>
      failAt('login', { code: 'EAUTH', response }),
    );
    expect(results.map((it) => it.result)).to.deep.equal(['later', 'later', 'broken', 'broken', 'broken']);
    expect(failAt('login', { code: 'ETLS', response: '400 x' })).to.include({ result: 'broken' });
  });

  it('that is not SMTP refuses nothing', () => {
    expect(failAt('rcpt', { response: 'xyzzy' })).to.deep.equal({ result: 'later', reply: 'xyzzy' });
  });

  it('begins with its code', () => {
    for (const reply of ['250', '250 ok', '250-ok', '250\r\n']) expect(replyCode(reply), reply).to.equal(250);
    for (const reply of [undefined, '', 'x', '25', '2500', '250ok', '150 x', '650 x', ' 250 ok', 'a 250 ok']) {
      expect(replyCode(reply), reply).to.equal(0);
    }
  });
});

describe('classify: a failure without a reply', () => {
  const broken = ['EAUTH', 'ENOAUTH', 'EOAUTH2', 'ETLS', 'EREQUIRETLS', 'EDNS', 'ECONFIG', 'EPROXY'];
  const refused = ['EENVELOPE', 'EMESSAGE', 'ESTREAM', 'EFILEACCESS', 'EURLACCESS', 'EMAXRECIPIENTS'];

  it("means what nodemailer's code says", () => {
    for (const code of broken) expect(failAt('data', { code }), code).to.include({ result: 'broken' });
    for (const code of refused) expect(failAt('data', { code }), code).to.include({ result: 'refused' });
    expect(failAt('data', { code: 'ETIMEDOUT' })).to.deep.equal({ result: 'later', reply: 'failed' });
    expect(failAt('dot', { code: 'ETIMEDOUT' })).to.include({ result: 'unknown' });
  });

  it('means what its cause says', () => {
    const fail = (originalCode: unknown) => failAt('data', { code: 'ESOCKET', originalCode });
    for (const code of ['CERT_HAS_EXPIRED', 'ENOTFOUND', 'EAI_AGAIN']) {
      expect(fail(code)).to.deep.equal({ result: 'broken', reply: `failed (${code})` });
    }
    for (const code of ['ECONNRESET', 'ENOTFOUNDX', 'XEAI_AGAIN']) expect(fail(code)).to.include({ result: 'later' });
    expect(fail(5)).to.include({ reply: 'failed' });
  });

  it('tells when the server closed the connection', () => {
    const message = 'Reached maximum number of retries (0)';
    const replies = (['greeting', 'rcpt'] as const).map(
      (stage) => failAt(stage, { code: 'ECONNECTION', message }).reply,
    );
    expect(replies).to.deep.equal([
      'the mail server closed the connection before it greeted',
      'the mail server closed the connection',
    ]);
    expect(failAt('rcpt', { message: `Not: ${message}` }).reply).to.equal(`Not: ${message}`);
  });
});

describe('classify: the answer to EHLO', () => {
  it('is the 2xx after EHLO or HELO', () => {
    const isGreeting = watchGreeting();
    const seen = [
      ['server', '220 ready'],
      ['client', 'EHLO x'],
      ['client', '250 no server'],
      ['server', '250 not asked'],
      ['client', 'EHLO x'],
      ['server', '502 no'],
      ['client', 'no EHLO'],
      ['server', '250 ok'],
      ['client', 'HELO x'],
      ['server', 'no 250'],
      ['other', '250'],
      ['server', '250 ok'],
    ].map(([tnx, line]) => isGreeting(tnx, line));
    expect(seen).to.deep.equal([...Array(11).fill(false), true]);
  });
});
