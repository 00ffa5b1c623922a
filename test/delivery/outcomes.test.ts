import { expect } from 'chai';
import type { SmtpOptions } from '../../src/mail/smtp/smtp-mailer.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { showEmail } from '../../src/services/emails/emails.ts';
import { openScope } from '../../src/services/scope.ts';
import type { AttemptOutcome } from '../../src/words.ts';
import { buildMessages, deliverTo } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { type Answer, type SmtpServer, type Step, startSmtpServer } from '../support/smtp-server.ts';

interface Scenario {
  title: string;
  step?: Step;
  answer?: Answer;
  mailer?: Partial<SmtpOptions>;
  result: AttemptOutcome;
  code?: number;
}

/** Before EHLO is answered, there is no mail server. */
const resultAt = (step: Step) => (step === 'greeting' || step === 'ehlo' ? 'away' : 'later');

const scenarios: Scenario[] = [
  { title: '421 as the greeting', step: 'greeting', answer: '421 4.3.2 busy', result: 'away', code: 421 },
  { title: '450 at EHLO', step: 'ehlo', answer: '450 4.3.2 busy', result: 'away', code: 450 },
  { title: '550 at MAIL', step: 'mail', answer: '550 5.7.1 not you', result: 'broken', code: 550 },
  { title: '450 at RCPT', step: 'rcpt', answer: '450 4.2.0 greylisted', result: 'later', code: 450 },
  { title: '530 at RCPT', step: 'rcpt', answer: '530 5.7.0 log in', result: 'later', code: 530 },
  { title: 'our limit at RCPT', step: 'rcpt', answer: '550 5.4.5 Daily limit', result: 'later', code: 550 },
  { title: '550 at RCPT', step: 'rcpt', answer: '550 5.1.1 no such user', result: 'refused', code: 550 },
  { title: '451 at DATA', step: 'data', answer: '451 4.3.0 no disk', result: 'later', code: 451 },
  { title: '250 at DATA', step: 'data', answer: '250 2.0.0 ok!', result: 'later' },
  {
    title: 'an answer to the text before the text',
    step: 'data',
    answer: { raw: '354 go\r\n250 ok\r\n' },
    result: 'later',
  },
  { title: '552 at DATA', step: 'data', answer: '552 5.3.4 too big', result: 'refused', code: 552 },
  { title: '451 after the dot', step: 'dot', answer: '451 4.3.0 try later', result: 'later', code: 451 },
  { title: '552 after the dot', step: 'dot', answer: '552 5.3.4 too big', result: 'refused', code: 552 },
  { title: 'a full mailbox at RCPT', step: 'rcpt', answer: '552 5.2.2 Mailbox full', result: 'later', code: 552 },
  { title: 'a full mailbox after the dot', step: 'dot', answer: '554 5.2.2 Over quota', result: 'later', code: 554 },
  ...(['greeting', 'ehlo', 'auth', 'mail', 'rcpt', 'data'] as const).map(
    (step): Scenario => ({ title: `not SMTP at ${step}`, step, answer: 'xyzzy nonsense', result: resultAt(step) }),
  ),
  { title: 'not SMTP after the dot', step: 'dot', answer: 'xyzzy nonsense', result: 'unknown' },
  { title: 'a number that is no code at RCPT', step: 'rcpt', answer: '99999 what', result: 'later' },
  { title: 'a number that is no code after the dot', step: 'dot', answer: '99999 what', result: 'unknown' },
  ...(['greeting', 'ehlo', 'auth', 'mail'] as const).map(
    (step): Scenario => ({ title: `a drop at ${step}`, step, answer: 'drop', result: resultAt(step) }),
  ),
  { title: 'a drop at DATA', step: 'data', answer: 'drop', result: 'later' },
  { title: 'a drop while DATA is read, all of it having left', step: 'body', answer: 'drop', result: 'unknown' },
  { title: 'a drop after the dot', step: 'dot', answer: 'drop', result: 'unknown' },
  { title: 'a reset after the dot', step: 'dot', answer: 'reset', result: 'unknown' },
  ...(['greeting', 'ehlo', 'mail', 'rcpt', 'data'] as const).map(
    (step): Scenario => ({ title: `hanging at ${step}`, step, answer: 'hold', result: resultAt(step) }),
  ),
  { title: 'hanging after the dot', step: 'dot', answer: 'hold', result: 'unknown' },
  { title: 'dripping at RCPT', step: 'rcpt', answer: { drip: '250-still here ', everyMs: 10 }, result: 'later' },
  { title: 'dripping after the dot', step: 'dot', answer: { drip: '250-still ', everyMs: 10 }, result: 'unknown' },
  { title: 'no TLS where it is asked for', mailer: { security: 'starttls' }, result: 'broken', code: 502 },
  {
    title: '535 at the login',
    step: 'auth',
    answer: '535 5.7.8 wrong user or password',
    result: 'broken',
    code: 535,
  },
  { title: 'a line of 1 MB at RCPT', step: 'rcpt', answer: { raw: `550 ${'x'.repeat(1 << 20)}` }, result: 'later' },
  {
    title: 'escape codes at RCPT',
    step: 'rcpt',
    answer: `550 5.1.1 \u001b]0;owned\u0007\u001b[2J\u202e no ${'x'.repeat(2000)}`,
    result: 'refused',
    code: 550,
  },
];

/** For servers that never end. */
const impatience = { deadlineMs: 600, answerMs: 600, silenceMs: 500 };

/** The same, once a mail has come to its final dot, for which a machine with other work has its time. */
const impatienceAfterDot = { answerMs: 600 };

describe('a notification and an auto-reply, by what the server does', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let context: MailingContext;

  before(async () => {
    db = await createDatabase();
    smtp = await startSmtpServer({ auth: { user: 'site', password: 'p4ss' } });
    context = await openTestMailing(db, { MAIL_FROM: 'site@site.test', NOTIFY_TO: 'owner@site.test' });
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await smtp[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    smtp.reset();
    await db.empty();
  });

  const deliver = (changes: Partial<SmtpOptions> = {}) =>
    deliverTo(smtp, context, { user: 'site', password: 'p4ss', ...changes });
  const rows = () =>
    db.query<{ id: string; kind: string; state: string; failure: string | null; tries: number }>(
      'select id, kind, state, failure, tries from emails order by kind',
    );
  const attempts = () => db.query('select outcome, code from attempts');
  const arrived = () => smtp.messages.map((it) => it.to[0]).toSorted();

  /** What stands in the rows after that try, and who has got mail once the server is well again. */
  const consequences: Record<
    Exclude<AttemptOutcome, 'accepted'>,
    { rows: [reply: unknown[], notice: unknown[]]; arrived: string[] }
  > = {
    later: {
      rows: [
        ['queued', null, 1],
        ['queued', null, 1],
      ],
      arrived: ['ada@example.test', 'owner@site.test'],
    },
    refused: {
      rows: [
        ['failed', 'refused', 1],
        ['failed', 'refused', 1],
      ],
      arrived: [],
    },
    // Two notifications are better than none, and no auto-reply is better than two.
    unknown: {
      rows: [
        ['failed', 'outcome-unknown', 1],
        ['queued', null, 1],
      ],
      arrived: ['owner@site.test'],
    },
    away: {
      rows: [
        ['queued', null, 0],
        ['queued', null, 0],
      ],
      arrived: ['ada@example.test', 'owner@site.test'],
    },
    broken: {
      rows: [
        ['queued', null, 0],
        ['queued', null, 0],
      ],
      arrived: ['ada@example.test', 'owner@site.test'],
    },
  };

  for (const { title, step, answer, mailer, result, code } of scenarios) {
    const expected = consequences[result as Exclude<AttemptOutcome, 'accepted'>];
    it(`${title}: "${result}", then ${expected.arrived.length} of 2 arrive`, async () => {
      const pauses = result === 'broken' || result === 'away';
      await buildMessages(context, 1);
      if (step !== undefined && answer !== undefined) smtp.answer(step, answer);
      const neverEnds = answer === 'hold' || typeof answer === 'object';
      await deliver({ ...(neverEnds && (step === 'dot' ? impatienceAfterDot : impatience)), ...mailer });

      expect((await rows()).map((it) => [it.state, it.failure, it.tries])).to.deep.equal(expected.rows);
      const written = await attempts();
      for (const it of written) expect(it).to.include({ outcome: result, code: code ?? null });
      // The first that finds the door closed pauses the queue, and the other may not have begun by then.
      expect(written).to.have.lengthOf.within(pauses ? 1 : 2, 2);
      expect(smtp.messages).to.be.empty;
      const [pause] = await db.query('select cause, is_away as "isAway" from mail_queue');
      expect(pause).to.deep.equal({ cause: pauses ? 'broken' : null, isAway: result === 'away' });
      for (const { id } of await rows()) {
        const [attempt] = (await showEmail(openScope(context), id)).attempts;
        if (attempt === undefined && pauses) continue;
        expect(attempt?.reply).to.be.a('string').with.lengthOf.within(1, 500);
        expect(attempt?.reply).to.match(/^[\P{C}]*$/u);
        if (typeof answer === 'string' && /^[\w. ]+ [\w. ]+$/.test(answer)) expect(attempt?.reply).to.equal(answer);
      }

      smtp.reset();
      // What met no mail server is due at once when one is back.
      if (result !== 'away') await db.makeAllDue();
      await deliver();
      expect(arrived()).to.deep.equal(expected.arrived);
      expect(new Set(smtp.messages.map((it) => it.raw))).to.have.lengthOf(expected.arrived.length);
      expect((await rows()).filter((it) => it.state === 'sent')).to.have.lengthOf(expected.arrived.length);
    });
  }
});
