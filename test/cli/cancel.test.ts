import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import PostalMime from 'postal-mime';
import type { Context } from '../../src/context.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { type Cancelled, cancelEmails } from '../../src/services/emails/cancel-emails.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { temporaryFolder } from '../support/program.ts';
import { runHere, withoutColours } from './terminal.ts';

describe('acting on one email', () => {
  let db: TestDatabase;
  let context: Context;

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
  });

  const cancel = async (...ids: string[]): Promise<{ code: number; items: Cancelled[] }> => {
    const { code, stdout } = await runHere(['emails', 'cancel', ...ids, '--json'], db);
    return { code, items: JSON.parse(stdout).items };
  };
  const idOf = async (where: string): Promise<string> =>
    (await db.query<{ id: string }>(`select id from emails where ${where} order by id limit 1`))[0]?.id ?? '';

  it('cancel: queued, held and failed emails are never sent', async () => {
    await buildMessages(context, 3, (i) => (i === 2 ? { _gotcha: 'x' } : {}));
    const failed = await idOf(`kind = 'notification' and state = 'queued'`);
    await settleDue(context, (email) => (email.id === failed ? mailOutcomes.refused : mailOutcomes.later));
    const [queued, held] = [await idOf(`kind = 'notification' and state = 'queued'`), await idOf(`state = 'held'`)];
    const { code, items } = await cancel(queued, held, failed);
    expect(code).to.equal(0);
    expect(items.map((it) => [it.result, it.state])).to.deep.equal([
      ['cancelled', 'queued'],
      ['cancelled', 'held'],
      ['cancelled', 'failed'],
    ]);
    await db.makeAllDue();
    await settleDue(context, () => mailOutcomes.accepted);
    expect(
      await db.query(`select state, count(*)::int as n from emails where kind = 'notification' group by 1`),
    ).to.deep.equal([{ state: 'cancelled', n: 3 }]);
    const again = await cancel(queued);
    expect(again.items[0]?.result).to.equal('already-cancelled');
    const shown = await runHere(['emails', 'show', failed], db);
    expect(shown.stdout).to.include('cancelled').and.include('550 5.1.1 no such user');
  });

  it('cancel: rejects sent, sending and unknown emails only', async () => {
    await buildMessages(context, 3);
    await db.query(`delete from emails where kind = 'auto-reply'`);
    await db.query(`update emails set due_at = now() + interval '1 hour' where id <> $1`, [await idOf('true')]);
    const leased = (await claimDue(openScope(context), 10)).rows[0]?.id ?? '';
    const [sent, queued] = (
      await db.query<{ id: string }>('select id from emails where lease_token is null order by id')
    ).map((it) => it.id);
    await past.sent(db, sent);
    const { code, items } = await cancel(leased, sent ?? '', 'nonsense', queued ?? '');
    expect(code).to.equal(1);
    expect(items.map((it) => [it.result, it.code])).to.deep.equal([
      ['refused', 'email-leased'],
      ['refused', 'email-not-cancellable'],
      ['not-found', 'email-unknown'],
      ['cancelled', null],
    ]);
    const table = await runHere(['emails', 'cancel', leased, sent ?? ''], db);
    expect(table.stdout)
      .to.match(/ unchanged /)
      .and.not.match(/ refused /);
    expect(table.stdout).to.include('is being sent at this moment').and.include('was sent already');
    const narrow = withoutColours(
      (await runHere(['emails', 'cancel', queued ?? '', 'nonsense'], db, { columns: 80 })).stdout,
    );
    expect(narrow).to.include('already cancelled').and.include('there is no such email');
    for (const line of narrow.split('\n')) expect(line.length, line).to.be.at.most(80);
  });

  it('cancel: an email is cancelled or claimed, never both', async () => {
    await buildMessages(context, 20);
    const ids = (await db.query<{ id: string }>('select id from emails')).map((it) => it.id);
    const [cancelled, ...claims] = await Promise.all([
      cancelEmails(openScope(context), ids),
      ...Array.from({ length: 6 }, () => claimDue(openScope(context), 5)),
    ]);
    const claimed = new Set(claims.flatMap((it) => it.rows.map((email) => email.id)));
    for (const it of cancelled) expect(it.result, it.id).to.equal(claimed.has(it.id) ? 'refused' : 'cancelled');
    expect(cancelled).to.have.lengthOf(30);
  });

  it('show --mail: prints exactly the mail that is sent', async () => {
    await using folder = await temporaryFolder();
    const settings = { DATA_DIR: folder.path };
    await buildMessages(context, 1, () => ({ message: 'Hello\u001b[2J there', subject: 'A subject' }));
    const show = async (kind: string, ...more: string[]) => {
      const args = ['emails', 'show', await idOf(`kind = '${kind}'`), '--mail', '--json', ...more];
      const run = await runHere(args, db, { settings });
      return JSON.parse(run.stdout).mail;
    };
    const before = { notification: await show('notification'), 'auto-reply': await show('auto-reply') };
    await runHere(['deliver', '--once'], db, { settings });
    const files = await readdir(join(folder.path, 'mail'));
    for (const kind of ['notification', 'auto-reply'] as const) {
      const file = files.find((it) => it.includes(kind)) ?? '';
      const sent = await PostalMime.parse(await readFile(join(folder.path, 'mail', file)));
      const { headers, text, html } = before[kind];
      expect(await show(kind), 'the same afterwards').to.deep.equal(before[kind]);
      expect(sent.text?.trim()).to.equal(text.trim());
      expect(sent.html?.trim()).to.equal(html.trim());
      const printed = new Map(headers);
      expect(printed.get('Subject')).to.equal(sent.subject);
      expect(printed.get('Message-ID')).to.equal(sent.messageId);
      expect(new Date(printed.get('Date') as string).toISOString().slice(0, 19)).to.equal(sent.date?.slice(0, 19));
      for (const { key, value } of sent.headers) {
        if (/^(content-|mime-version)/.test(key)) continue;
        const [, shown] = headers.find(([name]: [string]) => name.toLowerCase() === key) ?? [];
        if (!['date', 'subject'].includes(key)) expect(shown, key).to.equal(value);
      }
    }
    const text = await runHere(['emails', 'show', await idOf(`kind = 'notification'`), '--mail', '--mask'], db, {
      settings,
    });
    expect(text.stdout)
      .to.match(/^To +o\*\*\*@localhost$/m)
      .and.match(/^│ Hello/m);
    expect(text.stdout).to.not.match(/ada@example|Ada|Lovelace|\u001b/);
    const masked = await show('notification', '--mask');
    expect(JSON.stringify(masked))
      .to.include('A***')
      .and.not.match(/ada@example|example<span>|Ada|Lovelace/);
  });
});
