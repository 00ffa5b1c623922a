import { expect } from 'chai';
import * as fc from 'fast-check';
import type { Outcome } from '../../src/mail/mailer.ts';
import type { SmtpOptions } from '../../src/mail/smtp/smtp-mailer.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { plainLine } from '../../src/plain-line.ts';
import { showEmail } from '../../src/services/emails/emails.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, deliverTo } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { fuzzRuns } from '../support/fuzz.ts';
import { anyReply, anySmtpCase, type SmtpCase } from '../support/raw-smtp-answers.ts';
import { expectedOf } from '../support/raw-smtp-model.ts';
import { floodBytes, type RawScript, RawSmtpServer, replyOf } from '../support/raw-smtp-server.ts';
import { mailerTo, someMail } from '../support/smtp-mail.ts';
import { testCertificate } from '../support/smtp-server.ts';

/** Sessions at the same time, each with a server of its own. */
const parallel = 32;

/** Servers that may hang. */
const impatience = { deadlineMs: 400, answerMs: 300, connectMs: 300, silenceMs: 300 };

describe('any replies of a mail server', () => {
  const servers: RawSmtpServer[] = [];
  const seen = new Map<string, number>();

  before(async () => {
    for (let count = 0; count < parallel; count++) servers.push(await RawSmtpServer.open());
  });
  after(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]();
    console.log(`    ${[...seen].map(([outcome, times]) => `${outcome}: ${times}`).join(', ')}`);
  });

  it('end each mail in the one outcome that RFC 5321 allows', async () => {
    const batch = fc.array(anySmtpCase, { minLength: parallel, maxLength: parallel, size: 'max' });
    const { numRuns, ...runs } = fuzzRuns(160);
    await fc.assert(
      fc.asyncProperty(batch, async (cases) => {
        const faults = await Promise.all(cases.map((it, index) => tryCase(it, servers[index] as RawSmtpServer)));
        if (faults.flat().length > 0) expect.fail(faults.flat().join('\n'));
      }),
      { ...runs, numRuns: Math.ceil(numRuns / parallel), interruptAfterTimeLimit: 280_000, endOnFailure: true },
    );
  });

  /** Sends two mails, one after the other, which share a connection if the server lets them. @returns what is wrong. */
  async function tryCase(it: SmtpCase, server: RawSmtpServer): Promise<string[]> {
    server.sessions.length = 0;
    server.flooded = 0;
    server.next = () => it.script;
    const expected = expectedOf(it.script, it);
    const options: Partial<SmtpOptions> = {
      lanes: 1,
      ...(expected === undefined && impatience),
      ...(it.secure && { security: 'starttls' as const, tls: { ca: testCertificate } }),
      ...(it.login && { user: 'me', password: 'secret' }),
    };
    const faults: string[] = [];
    const mailer = mailerTo(server, options);
    for (const which of ['first', 'second'] as const) {
      const mail = someMail();
      const outcome = await mailer.send(mail);
      seen.set(outcome.result, (seen.get(outcome.result) ?? 0) + 1);
      faults.push(...faultsOf(outcome, mail.internetMessageId, server, it));
      if (which === 'first' && expected !== undefined && !expected.has(outcome.result))
        faults.push(`${outcome.result} (${outcome.reply}), expected ${[...expected]}`);
    }
    await mailer[Symbol.asyncDispose]();
    if (server.flooded >= floodBytes) faults.push('a flood was read without an end');
    return faults.map((fault) => `${fault}: ${JSON.stringify(it).slice(0, 600)}`);
  }
});

describe('mail to a server that answers anything', () => {
  let db: TestDatabase;
  let context: MailingContext;
  let server: RawSmtpServer;

  before(async () => {
    db = await createDatabase();
    await db.liftHourlyLimits();
    context = await openTestMailing(db, { MAIL_FROM: 'site@site.test', NOTIFY_TO: 'owner@site.test' });
    server = await RawSmtpServer.open();
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  it('is sent once, or is uncertain on record, and none is lost', async () => {
    const script = fc
      .constantFrom('rcpt' as const, 'data' as const, 'dot' as const, 'dot' as const)
      .chain((step) => anyReply(step).map((it): RawScript => ({ [step]: it })));
    const { numRuns, ...runs } = fuzzRuns(60);
    await fc.assert(
      fc.asyncProperty(fc.array(script, { minLength: 10, maxLength: 10 }), async (scripts) => {
        expect(await deliverTwice(scripts)).to.deep.equal([]);
      }),
      { ...runs, numRuns: Math.ceil(numRuns / 30), interruptAfterTimeLimit: 280_000, endOnFailure: true },
    );
  });

  const rows = () =>
    db.query<Row>('select id, kind, state, failure, tries, internet_message_id as "messageId" from emails order by id');

  /** First to servers of these scripts, then to a good one. @returns what is wrong. */
  async function deliverTwice(scripts: RawScript[]): Promise<string[]> {
    await db.empty();
    server.sessions.length = 0;
    const left = [...scripts, ...scripts];
    server.next = () => left.pop() ?? scripts[0] ?? {};
    await buildMessages(context, scripts.length);
    await deliverTo(server, context, impatience);
    const faults: string[] = [];
    const first = await rows();
    const uncertain = new Set<string>();
    for (const row of first) {
      const { attempts } = await showEmail(openScope(context), row.id);
      const outcomes = attempts.map((it) => it.outcome);
      if (outcomes.includes('unknown')) uncertain.add(row.id);
      const took = server.sessions.filter((it) => it.texts.includes(row.messageId));
      const isGood =
        took.some(({ script }) => isTaken.test(replyOf(script, 'dot').bytes) || isAhead(script)) ||
        (took.length === 0 && scripts.some(isAhead));
      const seen = `${row.kind} ${row.state} ${row.failure} ${row.tries} after ${outcomes}`;
      if (!isOneState(row, outcomes)) faults.push(`not a state that follows: ${seen}`);
      if (row.state === 'sent' && !isGood) faults.push(`sent without a 2xx to the dot: ${seen}`);
      for (const { reply } of attempts)
        if ((reply ?? '').length > 500 || reply !== plainLine(reply ?? '')) faults.push(`not clean: ${reply}`);
    }
    server.next = () => ({});
    await db.query('update mail_queue set paused_at = null, cause = null, reason = null, is_away = false');
    await db.makeAllDue();
    await deliverTo(server, context);
    for (const row of await rows()) {
      const before = first.find((it) => it.id === row.id);
      if (before?.state === 'queued' && row.state !== 'sent') faults.push(`${row.kind} ${row.state} in the end`);
      // A server that refuses the mail in its answer to DATA, takes it nevertheless and says 250 contradicts itself.
      const accepted = server.sessions.filter(
        ({ texts, script }) =>
          texts.includes(row.messageId) &&
          /^2\d\d /.test(replyOf(script, 'dot').bytes) &&
          !isRefusal.test(replyOf(script, 'data').bytes),
      );
      if (accepted.length > 1 && !uncertain.has(row.id)) faults.push(`${row.kind} sent ${accepted.length} times`);
      if (row.state === 'sent' && accepted.length === 0 && before?.state === 'queued') faults.push(`${row.kind} lost`);
    }
    return faults.map((fault) => `${fault}: ${JSON.stringify(scripts).slice(0, 1500)}`);
  }
});

const isRefusal = /^[45]\d\d/m;

const isTaken = /^\s*2\d\d(?=[\s-]|$)/;

/** Whether the dot may be answered with 2xx before it arrives: by an answer to DATA in pieces, of which some come late. */
function isAhead(script: RawScript): boolean {
  const { bytes, cuts = [] } = replyOf(script, 'data');
  const late = bytes.slice(Math.min(bytes.length, ...cuts.map((it) => it % (bytes.length + 1))));
  return late.split(/[\r\n]+/).some((line) => isTaken.test(line));
}

interface Row {
  id: string;
  kind: string;
  state: string;
  failure: string | null;
  tries: number;
  messageId: string;
}

/** By docs: an owner's mail is retried after an uncertain attempt, an auto-reply is not. */
function isOneState({ kind, state, failure, tries }: Row, outcomes: string[]): boolean {
  const last = outcomes.at(-1);
  if (last === undefined || last === 'away' || last === 'broken') return state === 'queued' && tries === 0;
  if (tries !== outcomes.filter((it) => it !== 'away' && it !== 'broken').length) return false;
  if (last === 'accepted') return state === 'sent';
  if (last === 'refused') return state === 'failed' && failure === 'refused';
  if (last === 'unknown' && kind === 'auto-reply') return state === 'failed' && failure === 'outcome-unknown';
  return state === 'queued';
}

/** What must hold whatever the server says. The ledger of the server is the truth. */
function faultsOf(
  outcome: Outcome,
  messageId: string,
  { sessions }: RawSmtpServer,
  { script, secure }: SmtpCase,
): string[] {
  const faults: string[] = [];
  const { result, reply: text, code: status } = outcome;
  const took = sessions.filter((it) => it.texts.includes(messageId)).length;
  const dot = replyOf(script, 'dot').bytes;
  if (result === 'accepted' && !(took === 1 && isTaken.test(dot)) && !isAhead(script))
    faults.push(`sent without a 2xx to the dot (${text})`);
  if (took > 1) faults.push('sent twice in one attempt');
  if (result === 'refused' && !sessions.some((it) => it.said.some(({ bytes }) => isRefusal.test(bytes))))
    faults.push(`refused without a refusal (${text})`);
  if (took > 0 && !['accepted', 'unknown'].includes(result) && !isRefusal.test(dot + replyOf(script, 'data').bytes))
    faults.push(`${result}, though the server has the mail and refused nothing (${text})`);
  if (secure && sessions.some((it) => it.plain.some((line) => /^(?:MAIL|RCPT|DATA|AUTH)\b/i.test(line))))
    faults.push('plain text where TLS is required');
  if (text.length > 500 || text !== plainLine(text)) faults.push(`a reply that is not clean: ${JSON.stringify(text)}`);
  if (status !== undefined && !(status >= 200 && status <= 599)) faults.push(`the code ${status}`);
  return faults;
}
