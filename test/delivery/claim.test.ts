import { expect } from 'chai';
import { binaryArray } from '../../src/database/binary-array.ts';
import type { Outcome } from '../../src/mail/mailer.ts';
import { type ClaimedEmail, claimDue } from '../../src/services/delivery/claim-due.ts';
import { queueHeldSummaries, tellCancelled } from '../../src/services/delivery/held-summary.ts';
import { leaseMs, type Settlement } from '../../src/services/delivery/job.ts';
import type { NextStep } from '../../src/services/delivery/retry-schedule.ts';
import { settleEmails } from '../../src/services/delivery/settle-emails.ts';
import { isAnyHeld, summariseHeld } from '../../src/services/delivery/summarise-held.ts';
import { openScope } from '../../src/services/scope.ts';
import { sealContent } from '../../src/services/sealed-values.ts';
import { readReleaseLink } from '../../src/services/signed-links.ts';
import { type Asked, scriptedContext, scriptedId } from '../support/scripted.ts';

type Rows = Record<string, unknown>[];

function open(answer: (asked: Asked) => Rows = () => [], config: object = {}) {
  const database = scriptedContext(answer, config);
  return { ...database, scope: openScope(database.context) };
}

describe('a claim of due emails', () => {
  const [content, address] = [Buffer.from('content'), Buffer.from('address')];
  const row = {
    ...{ id: scriptedId(1), kind: 'notification', tries: 2, internet_message_id: '<1@site.test>' },
    ...{ recipient: 'owner@site.test', digest_id: scriptedId(2), written: null, created_ms: 1000, scheduled_ms: 2000 },
    ...{ message_id: scriptedId(3), receipt: 'RW-1', content, received_ms: 3000, sender_id: scriptedId(4), address },
    ...{ slug: 'contact', form_name: 'Contact', form_recipients: ['a@site.test'], fields: 'any', email_field: 'mail' },
    ...{ routes: [], language: 'de', words: {} },
  };
  const email = {
    ...{ id: scriptedId(1), kind: 'notification', leaseToken: 'token', tries: 2, internetMessageId: '<1@site.test>' },
    ...{ createdAt: new Date(1000), scheduledAt: new Date(2000), recipient: 'owner@site.test' },
    ...{ digestId: scriptedId(2), content: null },
  };
  const form = {
    ...{ slug: 'contact', name: 'Contact', recipients: ['a@site.test'], fields: 'any', emailField: 'mail' },
    ...{ routes: [], language: 'de', words: {} },
  };
  const message = { id: scriptedId(3), receipt: 'RW-1', content, receivedAt: new Date(3000), form };

  it('has everything that a mail is made from', async () => {
    for (const [changes, expected] of [
      [{}, { ...email, message: { ...message, sender: { id: scriptedId(4), address } } }],
      [{ sender_id: null }, { ...email, message: { ...message, sender: null } }],
      [{ address: null }, { ...email, message: { ...message, sender: null } }],
      [{ message_id: null }, { ...email, message: null }],
    ] as const) {
      const { scope, asked, lines } = open(() => [{ ...row, ...changes }]);
      expect(await claimDue(scope, 5, 'token')).to.deep.equal({ rows: [expected], givenUp: [] });
      expect(asked[0]?.name).to.equal('claim_due_10');
      expect(asked[0]?.values).to.deep.equal([5, 'token', ['notification', 'auto-reply', 'held-summary', 'reply']]);
      expect(lines).to.deep.equal([]);
    }
  });

  it('names the emails that were given up, and has a new token by default', async () => {
    const { scope, asked, lines, said } = open(() => [{ id: scriptedId(9), kind: null }, row]);
    const { rows, givenUp } = await claimDue(scope, 5);
    expect([rows.map((it) => it.id), givenUp]).to.deep.equal([[scriptedId(1)], [scriptedId(9)]]);
    expect(rows[0]?.leaseToken)
      .to.equal(asked[0]?.values[1])
      .and.to.match(/^[\da-f-]{36}$/);
    expect(said()).to.deep.equal(['error: email failed: its worker was lost, and nobody knows whether it was sent']);
    expect(lines[0]).to.include({ email: scriptedId(9) });
  });

  it('lasts 90 seconds, and fails what must not be sent twice', async () => {
    const { scope, asked } = open();
    await claimDue(scope, 5);
    expect(leaseMs).to.equal(90_000);
    expect(asked[0]?.text)
      .to.include(`(emails.kind in ('auto-reply', 'reply') or tries >= 9) as hopeless`)
      .and.include(`due_at = now() + 90000 * interval '1 millisecond'`)
      .and.include(`select id, ${Array(22).fill('null').join(', ')} from given_up`);
  });
});

describe('the outcomes of emails', () => {
  const settlement = (
    n: number,
    kind = 'notification',
    state: NextStep['state'] = 'queued',
    outcome: Outcome = { result: 'later', code: 450, reply: 'not now' },
  ): Settlement => ({
    row: { id: scriptedId(n), leaseToken: scriptedId(n + 50), kind },
    startedAt: new Date(1000),
    outcome,
    next: { state, failure: state === 'failed' ? 'refused' : null, waitMs: 60_000, counts: state !== 'sent' },
  });
  const settle = async (...settlements: Settlement[]) => {
    const { context, asked } = open(() => [{ id: scriptedId(2) }], { notifyTo: ['owner@site.test'] });
    const scope = openScope({ ...context, now: () => new Date(2500) });
    const settled = await settleEmails(scope, settlements);
    const [{ name, values, text } = { name: '', values: [], text: '' }] = asked;
    return { settled: [...settled], name, values, text, keyring: scope.keyring };
  };

  it('are written with code, reply and the time that the attempt took', async () => {
    const early = { ...settlement(3), startedAt: new Date(9000) };
    const { settled, name, values, keyring } = await settle(
      settlement(1),
      settlement(2, 'notification', 'queued', { result: 'unknown', reply: 'lost' }),
      early,
    );
    expect([settled, name, values.length]).to.deep.equal([[scriptedId(2)], 'settle_emails_4', 11]);
    const ids = [1, 2, 3].map(scriptedId);
    expect(values[0]).to.deep.equal(binaryArray.uuid(ids));
    expect(values[1]).to.deep.equal(binaryArray.uuid([51, 52, 53].map(scriptedId)));
    expect(values[2]).to.deep.equal(binaryArray.text(['queued', 'queued', 'queued']));
    expect(values[3]).to.deep.equal(binaryArray.text([null, null, null]));
    expect(values[4]).to.deep.equal(binaryArray.float8([60_000, 60_000, 60_000]));
    expect(values[5]).to.deep.equal(binaryArray.bool([true, true, true]));
    expect(values[7]).to.deep.equal(binaryArray.text(['later', 'unknown', 'later']));
    expect(values[8]).to.deep.equal(binaryArray.int([450, null, 450]));
    expect(values[10]).to.deep.equal(binaryArray.float8([1500, 1500, 0]));
    expect((values[9] as Buffer).length).to.be.greaterThan(keyring.seal('not now', replyPlaceOf('x')).length * 3);
  });

  it('are written by the statement that tells hooks and owners as well, if needed', async () => {
    for (const [name, ...settlements] of [
      ['settle_emails_4', settlement(1), settlement(2, 'notification', 'sent'), settlement(3, 'held-summary')],
      ['settle_failures_1', settlement(1), settlement(2, 'held-summary', 'failed')],
      ['settle_summaries_4', settlement(1), settlement(2, 'held-summary', 'sent')],
      ['settle_summaries_4', settlement(1, 'notification', 'failed'), settlement(2, 'held-summary', 'sent')],
    ] as const) {
      const { values, text, ...settled } = await settle(...settlements);
      expect(settled.name).to.equal(name);
      expect(text).to.include('update emails set').and.include('insert into attempts (id, email_id, outcome');
      expect(values.slice(11)).to.deep.equal(name === 'settle_summaries_4' ? [['owner@site.test']] : []);
      expect(text.includes('told as'), name).to.equal(name === 'settle_summaries_4');
      expect(text.includes('hooked as'), name).to.equal(name !== 'settle_emails_4');
    }
  });
});

const replyPlaceOf = (row: string) => ({ table: 'attempts', column: 'reply', row }) as const;

describe('summaries of held messages', () => {
  const mailFrom = { address: 'site@site.test' };
  const config = { notifyTo: ['owner@site.test'], mailFrom };
  const [now, since] = [new Date(1_000_000), new Date(500_000)];

  it('are queued for owners with news, and for owners who never had one', async () => {
    const holding = [
      { id: 'new', is_new: true },
      { id: 'old', is_new: false },
    ];
    const last = [
      { recipient: 'old@site.test', ms: 400_000 },
      { recipient: 'reset@site.test', ms: null },
    ];
    const forms = [
      { id: 'new', recipients: ['both@site.test', 'reset@site.test', 'old@site.test'] },
      { id: 'old', recipients: ['both@site.test', 'first@site.test', 'old@site.test', 'reset@site.test'] },
      { id: 'old', recipients: [] },
    ];
    const { scope, asked, created } = open(({ name, text }) => {
      if (name === 'find') return forms;
      return text.includes('bool_or') ? holding : last;
    }, config);
    expect(await queueHeldSummaries(scope, since, now)).to.equal(5);
    expect(asked.map((it) => it.values)).to.deep.equal([
      [new Date(490_000).toISOString(), now.toISOString()],
      [now.toISOString()],
      [{ id: { $in: ['new', 'old'] } }],
      [],
    ]);
    expect(created.map((it) => [it.recipient, it.coversAfter])).to.deep.equal([
      ['both@site.test', null],
      ['reset@site.test', null],
      ['old@site.test', new Date(390_000)],
      ['first@site.test', null],
      ['owner@site.test', null],
    ]);
    const { id, internetMessageId, recipient, coversAfter, ...rest } = created[0] ?? {};
    expect(internetMessageId).to.equal(`<${id}@site.test>`);
    expect(rest).to.deep.equal({
      ...{ kind: 'held-summary', state: 'queued', dueAt: now, createdAt: now, tries: 0, coversUntil: now },
    });
  });

  it('are not queued again for owners without news', async () => {
    const { scope, created } = open(({ name, text }) => {
      if (name === 'find') return [{ id: 'old', recipients: ['old@site.test'] }];
      if (text.includes('bool_or')) return [{ id: 'old', is_new: false }];
      return [{ recipient: 'old@site.test', ms: 400_000 }];
    }, config);
    expect(await queueHeldSummaries(scope, since, now)).to.equal(0);
    expect(created).to.deep.equal([]);
  });

  it('that are cancelled, and those with nothing to list, are looked up by owner', async () => {
    const { scope, asked } = open(({ values }) => (values[1] === scriptedId(1) ? [{}] : []), config);
    await tellCancelled(scope.em, scope.config, [scriptedId(1), scriptedId(2)]);
    for (const part of ['update messages set told_at', 'join messages on ', 'emails.recipient = any(']) {
      expect(asked[0]?.text).to.include(part);
    }
    expect(asked[0]?.values).to.deep.equal(['["owner@site.test"]', `{${scriptedId(1)},${scriptedId(2)}}`]);
    expect(await isAnyHeld(scope, { id: scriptedId(1) })).to.equal(true);
    expect(await isAnyHeld(scope, { id: scriptedId(2) })).to.equal(false);
    expect(asked.at(-1)?.values).to.deep.equal(['["owner@site.test"]', scriptedId(2)]);
  });

  describe('list', () => {
    const email = { id: scriptedId(9), createdAt: new Date(7000), scheduledAt: new Date(8000) } as ClaimedEmail;
    const row = {
      ...{ count: 70, after_ms: null, oldest_ms: 5000, id: scriptedId(1), receipt: 'RW-1', slug: 'contact' },
      ...{ received_ms: 6000, held_ms: 6500, reasons: ['many-links', 'new'], sender_id: null, sender_address: null },
    };
    const links = { hasPublicUrl: true, publicUrl: 'https://site.test' };
    const held = { receipt: 'RW-1', formSlug: 'contact', receivedAt: new Date(6000), reasons: 'many links, new' };

    const summarise = async (rows: object[], settings: object = {}) => {
      const { scope, asked } = open(() => rows as Rows, { ...config, ...settings });
      return { ...(await summariseHeld(scope, email)), asked, keyring: scope.keyring };
    };

    it('how many there are, and since when', async () => {
      for (const [rows, count, at] of [
        [[], 0, 7000],
        [[row], 70, 5000],
        [[{ ...row, after_ms: 20_000 }], 70, 30_000],
      ] as const) {
        const { count: counted, since: from, asked, ...summary } = await summarise([...rows]);
        expect([counted, from.getTime(), summary.messages.length]).to.deep.equal([count, at, rows.length]);
        expect(asked[0]?.values).to.deep.equal(['["owner@site.test"]', scriptedId(9)]);
        expect(asked[0]?.text).to.match(/array_position\('\{captcha-unavailable,many-links,[\w,-]+\}', reason\), 10\)/);
        expect(asked[0]?.text).to.match(/limit 50$/);
      }
    });

    it('messages without links or words, unless the settings say so', async () => {
      const without = await summarise([row]);
      expect(without.messages).to.deep.equal([held]);
      expect(without).to.not.have.property('linkDays');
      const { messages, linkDays, publicUrl, keyring } = await summarise([row], links);
      expect([linkDays, publicUrl]).to.deep.equal([14, 'https://site.test']);
      const { releaseUrl = '', ...rest } = messages[0] ?? {};
      expect(rest).to.deep.equal(held);
      const [, token = ''] = releaseUrl.split('https://site.test/release?token=');
      expect(readReleaseLink(keyring, token)).to.deep.equal({
        ...{ message: scriptedId(1), heldSince: 6500, endsAt: 8000 + 14 * 86_400_000 },
      });
    });

    it('what the visitor wrote, or other fields, or that it cannot be decrypted', async () => {
      const { keyring } = open().scope;
      const seal = (text: string, extra: [string, string][] = []) =>
        sealContent(keyring, scriptedId(1), { address: 'ada@example.test', text, extra });
      const address = (text: string) => keyring.seal(text, { table: 'senders', column: 'address', row: scriptedId(4) });
      const [ada, bob] = [address('ada@example.test'), address('bob@example.test')];
      const extra: [string, string][] = [
        ['a', 'One'],
        ['b', 'Two'],
      ];
      const unreadable = '(cannot be decrypted)';
      for (const [content, text, sender_id, sender_address] of [
        [seal(' Hello\n', extra), 'Hello', scriptedId(4), ada],
        [seal(' \n', extra), 'One, Two', null, null],
        [seal(''), '', scriptedId(4), null],
        [Buffer.concat([seal('Hello'), Buffer.from('x')]), unreadable, null, null],
        [seal('Hello'), unreadable, scriptedId(4), bob],
      ] as const) {
        const { messages } = await summarise([{ ...row, content, sender_id, sender_address }], { heldExcerpt: true });
        const { written } = messages[0] ?? {};
        expect(written?.text).to.equal(text);
        expect(written?.address).to.equal(text === unreadable ? undefined : 'ada@example.test');
      }
    });
  });
});
