import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import type { Stored } from '../../src/services/intake/verdict.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { runHere } from './terminal.ts';

const unknownReceipt = 'RW-0000000000';
const unknownId = '01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a';

describe('naming a message, person or email', () => {
  let db: TestDatabase;
  let context: Context;
  let first: Stored;
  let latest: Stored;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    await db.query('truncate recent_posts');
    // Ada, Ada again, Ada3.
    const stored = await buildMessages(context, 3, (index) => (index === 1 ? { email: 'ada@example.test' } : {}));
    [first, latest] = [stored[0], stored[2]] as [Stored, Stored];
  });

  const run = (...args: string[]) => runHere(args, db);
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, '--json');
    return { code, stderr, value: stdout === '' ? undefined : JSON.parse(stdout) };
  };
  const idOf = async (where: string) => (await db.query<{ id: string }>(where))[0]?.id ?? '';
  /** `#rw 4k2m 9q7t1x` */
  const typed = ({ receipt }: Stored) => receipt.toLowerCase().replace(/^rw-(....)/, ' #rw $1 ');
  const states = async ({ id }: Stored) =>
    (await db.query(`select kind || ' ' || state as it from emails where message_id = $1 order by id`, [id])).map(
      (row) => row.it,
    );

  it('senders: every command takes an address, an id, a receipt and "latest"', async () => {
    const [ada] = (await json('senders', 'list')).value.items.slice(1);
    const names = ['ada@example.test', ' ADA@Example.TEST ', ada.id, first.receipt, typed(first), first.id];
    for (const name of names) {
      expect((await json('senders', 'show', name)).value, name).to.deep.equal(ada);
    }
    for (const name of ['ada@example.test', typed(first)]) {
      expect((await json('senders', 'export', name)).value.sender.id, name).to.equal(ada.id);
      expect((await json('senders', 'block', name)).value.blockedAt, name).to.be.a('string');
      expect((await json('senders', 'unblock', name)).value.blockedAt, name).to.equal(null);
      expect((await json('senders', 'block', name, '--replies')).value.suppressedAt, name).to.be.a('string');
      expect((await json('senders', 'unblock', name, '--replies')).value.suppressedAt, name).to.equal(null);
      expect((await json('messages', 'list', '--sender', name)).value.items, name).to.have.lengthOf(2);
      expect((await run('messages', 'export', '--sender', name, '--json')).stdout.match(/\n/g)).to.have.lengthOf(2);
    }
    expect((await json('senders', 'show', 'Latest')).value.email).to.equal('ada3@example.test');
  });

  it('senders erase: asks by address, and erases that person', async () => {
    for (const [name, address] of [
      [typed(latest), 'ada3@example.test'],
      ['latest', 'ada@example.test'],
    ] as const) {
      const no = await runHere(['senders', 'erase', name], db, { columns: 80, types: 'n\n' });
      expect(no.stderr).to.match(
        new RegExp(`Erase .*<?${address}>? for good: ${name === 'latest' ? '2 messages' : '1 message'},`),
      );
      expect((await json('senders', 'erase', name, '--yes')).value).to.include({ messages: name === 'latest' ? 2 : 1 });
    }
    expect(await db.count('senders')).to.equal(0);
    expect(await db.query('select from erasures')).to.have.lengthOf(2);
  });

  it('senders: an address without a sender is no unknown sender', async () => {
    const blocked = await json('senders', 'block', 'nobody@example.test', '--replies');
    expect(blocked.value).to.include({ id: null, email: 'nobody@example.test' });
    expect((await json('senders', 'export', 'nobody@example.test')).value).to.include({ sender: null });
    for (const verb of ['show', 'unblock', 'erase']) {
      const refused: [name: string, code: number, said: string][] = [
        ['no@example.test', 1, 'no@example.test'],
        ['no@body', 2, '"no@body" is not an e-mail address'],
        [unknownReceipt, 1, `there is no message ${unknownReceipt}: see "ruffinweb messages list"`],
        [unknownId, 1, `there is no sender ${unknownId}: see "ruffinweb senders list"`],
        ['nonsense', 1, 'there is no sender nonsense: see "ruffinweb senders list"'],
      ];
      for (const [name, code, said] of refused) {
        // Without --yes: nobody is asked about somebody unknown.
        const answer = await run('senders', verb, name);
        expect(answer.stderr, `${verb} ${name}`).to.include(said);
        expect(answer, `${verb} ${name}`).to.include({ code, stdout: '' });
      }
    }
    expect((await run('senders', 'show', 'ada@example.test', '--email', 'ada@example.test')).code).to.equal(2);
  });

  it('messages: by any name; an address only if it wrote one', async () => {
    for (const name of [typed(latest), 'latest', 'ADA3@example.test', latest.id]) {
      expect((await json('messages', 'show', name)).value.id, name).to.equal(latest.id);
    }
    for (const name of ['latest', 'ADA3@example.test']) {
      expect((await json('messages', 'hold', name)).value.items[0], name).to.include({ id: latest.id, result: 'held' });
      expect((await json('messages', 'release', name)).value.items[0], name).to.include({ result: 'released' });
    }
    const several = await run('messages', 'show', 'ada@example.test');
    expect(several).to.include({ code: 1, stdout: '' });
    expect(several.stderr).to.include(
      'ada@example.test wrote several messages, so name one by its receipt: see "ruffinweb messages list --sender ada@example.test"',
    );
    const word = await runHere(['messages', 'show', 'Löwe'], db);
    expect(word.stderr).to.equal('there is no message Löwe: see "ruffinweb find Löwe"');
    expect((await run('messages', 'show', 'no@example.test')).stderr).to.include('no message from no@example.test');
    const asked = await runHere(['messages', 'delete', 'latest'], db, { columns: 80, types: 'n\n' });
    expect(asked.stderr).to.include(`Delete message ${latest.receipt} for good`);
  });

  it('messages delete: two names of one message delete no second one', async () => {
    const { value, code } = await json('messages', 'delete', latest.receipt, 'latest', typed(latest), '--yes');
    expect({ code, items: value.items.length }).to.deep.equal({ code: 0, items: 1 });
    expect(await db.count('messages')).to.equal(2);
    await db.empty();
    expect((await json('messages', 'delete', 'latest', '--yes')).value.items[0].reason).to.equal(
      'no message has been stored yet',
    );
  });

  it('emails show: all emails about the message that is named', async () => {
    for (const name of [typed(latest), 'latest', 'ada3@example.test', latest.id]) {
      const { value } = await json('emails', 'show', name);
      expect(value.items.map((it: { kind: string }) => it.kind).toSorted(), name).to.deep.equal([
        'auto-reply',
        'notification',
      ]);
    }
    const id = await idOf(`select id from emails where message_id = '${latest.id}' and kind = 'notification'`);
    expect((await json('emails', 'show', id)).value).to.include({ id, kind: 'notification' });
    expect((await run('emails', 'show', 'latest', '--mail')).stdout.match(/^Message-ID/gm)).to.have.lengthOf(2);
    const unknown = await run('emails', 'show', unknownReceipt);
    expect(unknown.stderr).to.equal(`there is no message ${unknownReceipt}: see "ruffinweb messages list"`);
    await db.query('delete from emails');
    expect((await run('emails', 'show', 'latest')).stderr).to.include(`no email about message ${latest.receipt}`);
  });

  it('emails resend: what failed about a message, and sent mail with --again', async () => {
    await settleDue(context, ({ kind }) => (kind === 'notification' ? mailOutcomes.refused : mailOutcomes.accepted));
    expect(await json('emails', 'resend', typed(latest))).to.deep.include({ code: 0 });
    expect(await states(latest)).to.have.members(['auto-reply sent', 'notification queued']);
    await settleDue(context, () => mailOutcomes.accepted);
    const sent = await json('emails', 'resend', latest.receipt);
    expect(sent.code).to.equal(1);
    expect(sent.value.items.map((it: { reason: string }) => it.reason)).to.deep.equal(
      Array(2).fill('was sent: needs --again'),
    );
    for (const turn of [1, 2]) {
      expect((await json('emails', 'resend', latest.receipt, '--again')).value.items, `turn ${turn}`).to.have.lengthOf(
        2,
      );
      await settleDue(context, () => mailOutcomes.accepted);
    }
    expect(await states(latest)).to.have.lengthOf(6);
    const to = await json('emails', 'resend', latest.receipt, '--again', '--to', 'office@site.test', '--dry-run');
    expect(to.value.items).to.have.lengthOf(1);
    expect((await json('emails', 'resend', first.receipt, unknownReceipt)).code, 'a wrong receipt').to.equal(1);
    expect(await states(first)).to.have.members(['auto-reply sent', 'notification failed']);
  });

  it('emails cancel: what is not sent about a message', async () => {
    await settleDue(context, ({ kind }) => (kind === 'notification' ? mailOutcomes.later : mailOutcomes.accepted));
    const { code, value } = await json('emails', 'cancel', typed(latest));
    expect(code).to.equal(0);
    expect(value.items).to.have.lengthOf(1);
    expect(await states(latest)).to.have.members(['auto-reply sent', 'notification cancelled']);
    expect((await run('emails', 'cancel', 'nobody@example.test')).stderr).to.include('nobody@example.test');
  });
});
