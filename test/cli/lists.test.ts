import { expect } from 'chai';
import { textWidth } from '../../src/cli/terminal/text-width.ts';
import { SealBroken } from '../../src/privacy/sealing.ts';
import type { Stored } from '../../src/services/intake/verdict.ts';
import { emailKinds, emailStates, messageStatuses } from '../../src/words.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { ruffinweb } from '../support/program.ts';
import { runHere, type Screen, withoutColours } from './terminal.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const oddText = 'first\u001b]0;title\u0007\u001b[2J\r\nsecond\u009b31m \u202egnp.exe\u2028third\u200b\n│ fake';

describe('senders, messages and emails', () => {
  let db: TestDatabase;
  let stored: Stored[];

  before(async () => {
    db = await createDatabase();
    await using context = await openTestContext(db);
    await db.query(`insert into forms (id, slug) values (gen_random_uuid(), 'other')`);
    stored = await buildMessages(context, 5, (index) => ({
      ...(index === 1 && { email: 'ada@example.test', name: undefined }),
      ...(index === 2 && { message: oddText, name: 'Gr\u202eace', subject: 'An odd one', 'a\u200bfield': 'b\u001bc' }),
    }));
    await settleDue(context, (email) => (email.kind === 'auto-reply' ? mailOutcomes.unknown : mailOutcomes.refused));
    await db.query(`update messages set status = 'held', reasons = '{too-fast}' where id = $1`, [stored[3]?.id]);
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });

  const run = (args: string, columns?: number): Promise<Screen> =>
    runHere(args.split(' '), db, columns === undefined ? {} : { columns });
  const json = async (args: string) => {
    const finished = await run(`${args} --json`);
    expect(finished).to.include({ code: 0, stderr: '' });
    return JSON.parse(finished.stdout);
  };

  it('look the same from the real program as in this process', async () => {
    const { items } = await json('emails list --limit 1');
    const commands = [
      'senders list --utc',
      'senders show --email ada@example.test --utc',
      'messages list --utc --status held',
      'messages show latest --json',
      'emails list --utc --state failed',
      `emails show ${items[0].id} --utc`,
    ];
    const here = await Promise.all(commands.map((args) => run(args)));
    const there = await Promise.all(commands.map((args) => ruffinweb(args.split(' '), { DATABASE_URL: db.url })));
    for (const [index, { code, stdout, stderr }] of there.entries()) {
      expect({ code, stdout, stderr }, commands[index]).to.deep.equal(here[index]);
      expect(stdout, commands[index]).to.not.equal('');
    }
  });

  it('an empty filter, as from an unset shell variable, is refused', async () => {
    for (const args of [
      ['messages', 'list', '--form', ''],
      ['messages', 'export', '--sender', ' '],
      ['emails', 'list', '--form', ''],
      ['emails', 'resend', '--failed', '--form', ''],
      ['stats', '--form', ''],
    ]) {
      const { code, stdout, stderr } = await runHere(args, db);
      expect([code, stdout], args.join(' ')).to.deep.equal([2, '']);
      expect(stderr).to.include('It must not be empty.');
    }
  });

  describe('senders', () => {
    it('are listed by latest message first, page by page', async () => {
      const all = await json('senders list');
      expect(all.next).to.equal(null);
      expect(all.items.map((it: { email: string }) => it.email)).to.deep.equal([
        'ada5@example.test',
        'ada4@example.test',
        'ada3@example.test',
        'ada@example.test',
      ]);
      const [first] = all.items;
      expect(first.id).to.match(uuid);
      expect(first.firstMessageAt).to.match(instant);
      expect(all.items[3]).to.deep.equal({
        id: all.items[3].id,
        email: 'ada@example.test',
        name: 'Ada Lovelace',
        messages: 2,
        firstMessageAt: stored[0]?.receivedAt.toISOString(),
        lastMessageAt: stored[1]?.receivedAt.toISOString(),
        blockedAt: null,
        suppressedAt: null,
      });

      const page = await json('senders list --limit 3');
      const rest = await json(`senders list --limit 3 --cursor ${page.next}`);
      expect([...page.items, ...rest.items]).to.deep.equal(all.items);
      expect(rest.next).to.equal(null);
    });

    it('are listed by time, and only the blocked ones', async () => {
      const emails = async (args: string) =>
        (await json(`senders list ${args}`)).items.map((it: { email: string }) => it.email);
      const block = 'senders block --email ada3@example.test';
      expect((await run(block)).stdout).to.include('is blocked: further messages are held');
      expect((await run(block)).stdout).to.include('was blocked already');
      expect(await emails('--blocked')).to.deep.equal(['ada3@example.test']);
      await run('senders unblock --email ada3@example.test');
      expect(await emails('--blocked')).to.deep.equal([]);
      expect(await emails('--since 1h')).to.have.lengthOf(4);
      const last = (await json('senders list')).items[0].lastMessageAt;
      expect(await emails(`--since ${last}`)).to.deep.equal(['ada5@example.test']);
      expect((await run('senders list --since 2990-01-01')).stderr).to.include('No sender matches');
    });

    it('are shown by address in any case, or by id', async () => {
      const shown = await json('senders show --email ADA@Example.TEST');
      expect(shown).to.include({ email: 'ada@example.test', messages: 2 });
      const { stdout } = await run(`senders show ${shown.id} --utc`);
      expect(stdout).to.match(/^email +ada@example\.test\nname +Ada Lovelace\nmessages +2\n/);
      expect(stdout).to.include(stored[0]?.receipt).and.to.include(stored[1]?.receipt);
    });

    it('are shown when unsubscribed, and can be resubscribed', async () => {
      const ended = await json('senders block --email ada+other@example.test --replies');
      expect(ended, 'one mailbox, whatever stands after the plus').to.deep.equal({
        id: null,
        email: 'ada+other@example.test',
        suppressedAt: ended.suppressedAt,
      });
      expect(ended.suppressedAt).to.match(instant);
      const shown = await json('senders show --email ada@example.test');
      expect(shown).to.include({ suppressedAt: ended.suppressedAt, blockedAt: null });
      expect((await json('senders list')).items[3]).to.deep.equal(shown);
      expect((await run('senders list')).stdout)
        .to.match(/^EMAIL .*NOTE/)
        .and.match(/ada@example\.test .*no replies/);
      expect((await run('senders show --email ada@example.test --utc')).stdout).to.match(/^no replies +\d{4}-/m);
      expect(await json('senders block --email ada@example.test --replies'), 'twice is once').to.deep.equal(shown);

      const again = await run('senders unblock --email ada@example.test --replies');
      expect(again).to.deep.equal({ code: 0, stdout: 'ada@example.test gets automatic replies\n', stderr: '' });
      expect((await json('senders show --email ada@example.test')).suppressedAt).to.equal(null);
      expect((await run('senders list')).stdout).to.not.include('NOTE');
      const nobody = await run('senders unblock --email nobody@example.test --replies');
      expect(nobody.code).to.equal(1);
      expect(nobody.stderr).to.include('nobody has written from nobody@example.test');
      expect(await json('senders block --email nobody@example.test --replies --mask')).to.include({
        id: null,
        email: 'n***@example.test',
      });
      expect((await run('senders unblock --email nobody@example.test --replies')).code).to.equal(0);
      expect((await run('senders block --email nonsense --replies')).code).to.equal(2);
    });

    it('exit 1 if not found, and say where to look', async () => {
      const [byId, byAddress, noAddress] = await Promise.all([
        run('senders show 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a'),
        run('senders show --email nobody@example.test'),
        run('senders show --email nobody'),
      ]);
      expect(byId).to.include({ code: 1, stdout: '' });
      expect(byId.stderr).to.include('see "ruffinweb senders list"');
      expect(byAddress.code).to.equal(1);
      expect(noAddress.code).to.equal(2);
    });
  });

  it('say the complete next command, and page by themselves with --all', async () => {
    const typed = ['messages', 'list', '--mask', '--limit', '2', '--since', '2026-01-01 00:00', '--form', 'contact'];
    const first = await runHere(typed, db, { columns: 80 });
    const next = /There are more:\s+(ruffinweb .*)/.exec(first.stderr)?.[1] ?? '';
    expect(next).to.match(
      /^ruffinweb messages list --mask --limit 2 --since '2026-01-01 00:00' --form contact --cursor [\w-]+$/,
    );
    const cursor = next.split(' ').at(-1) ?? '';
    const second = await runHere([...typed, `--cursor=${cursor}`], db);
    expect(second.stderr)
      .to.match(/--form contact --cursor [\w-]+$/m)
      .and.not.include(cursor);
    for (const noun of ['messages', 'emails', 'senders']) {
      const [all, page] = [await json(`${noun} list --all`), await json(`${noun} list`)];
      expect(all, noun).to.deep.equal(page);
      const table = await run(`${noun} list --all`, 80);
      expect(table.stdout.trim().split('\n')).to.have.lengthOf(page.items.length + 1);
    }
    expect((await run('messages list --all --limit 2')).code).to.equal(2);
  });

  describe('messages', () => {
    it('are listed newest first, by form, status, sender and time', async () => {
      const receipts = async (args: string) =>
        (await json(`messages list ${args}`.trim())).items.map((it: { receipt: string }) => it.receipt);
      const newestFirst = stored.map((it) => it.receipt).toReversed();
      const between = stored[2]?.receivedAt.toISOString();
      const [all, held, other, sender, since, until, recent, old] = await Promise.all([
        receipts(''),
        receipts('--status held'),
        receipts('--form other'),
        receipts('--sender ada@example.test'),
        receipts(`--since ${between}`),
        receipts(`--until ${between}`),
        receipts('--since 1h'),
        receipts('--until 1h'),
      ]);
      expect(all).to.deep.equal(newestFirst);
      expect(held).to.deep.equal([stored[3]?.receipt]);
      expect(other).to.deep.equal([]);
      expect(sender).to.deep.equal([stored[1]?.receipt, stored[0]?.receipt]);
      expect(since).to.deep.equal(newestFirst.slice(0, 3));
      expect(until).to.deep.equal(newestFirst.slice(3));
      expect(recent).to.deep.equal(newestFirst);
      expect(old).to.deep.equal([]);
    });

    it('say in words why they are held, and the time of older ones', async () => {
      await db.query(`update messages set reasons = '{many-links,from-a-later-release}' where status = 'held'`);
      const held = withoutColours((await run('messages list --status held', 120)).stdout);
      expect(held)
        .to.match(/WHY HELD/)
        .and.match(/many links, from-a-later-release/)
        .and.not.match(/STATUS/);
      const [first] = stored;
      await db.query(`update messages set received_at = received_at - interval '3 days' where id = $1`, [first?.id]);
      expect((await run('messages list')).stdout).to.match(new RegExp(`${first?.receipt} +\\d+ \\w{3} \\d\\d:\\d\\d `));
      await db.query(`update messages set received_at = received_at + interval '3 days' where id = $1`, [first?.id]);
    });

    it('are shown by receipt as people type it, by id, or the latest', async () => {
      const typed = stored[2]?.receipt.toLowerCase().replace('rw-', '').replaceAll('0', 'o') ?? '';
      const [byReceipt, byId, latest] = await Promise.all([
        json(`messages show ${typed}`),
        json(`messages show ${stored[2]?.id}`),
        json('messages show latest'),
      ]);
      expect(byReceipt).to.deep.equal(byId);
      expect(latest.receipt).to.equal(stored[4]?.receipt);
      const { emails, ...message } = byId;
      expect(message).to.deep.equal({
        id: stored[2]?.id,
        receipt: stored[2]?.receipt,
        form: 'contact',
        status: 'accepted',
        reasons: [],
        email: 'ada3@example.test',
        name: 'Gr\u202eace',
        subject: 'An odd one',
        message: oddText,
        extra: { 'a\u200bfield': 'b\u001bc' },
        receivedAt: stored[2]?.receivedAt.toISOString(),
        senderId: message.senderId,
        clientAddress: '203.0.113.0/24',
        noReply: null,
      });
      expect(emails.map((it: { kind: string }) => it.kind)).to.have.members(['notification', 'auto-reply']);
    });

    it('cannot attack the terminal, neither as a table nor as JSON', async () => {
      const outputs = await Promise.all([
        run('messages list'),
        run('messages list --json'),
        run(`messages show ${stored[2]?.receipt}`),
        run(`messages show ${stored[2]?.receipt} --json`),
        run('senders list'),
      ]);
      for (const { stdout } of outputs) {
        expect(stdout).to.not.match(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }
      expect(outputs[2]?.stdout).to.include(
        [
          '│ first\\u{1b}]0;title\\u{7}\\u{1b}[2J',
          '│ second\\u{9b}31m \\u{202e}gnp.exe\\u{2028}third\\u{200b}',
          '│ │ fake',
        ].join('\n'),
      );
      expect(outputs[0]?.stdout).to.include('An odd one – first\\u{1b}]0;title\\u{7}\\u{1b}[2J second\\u{9b}31m');
      expect(outputs[4]?.stdout).to.include('Gr\\u{202e}ace');
    });

    it('say why an email failed, and how to send it again', async () => {
      const { stdout, stderr } = await run(`messages show ${stored[4]?.receipt}`);
      expect(withoutColours(stdout))
        .to.match(/REASON/)
        .and.match(/notification .*refused/)
        .and.match(/outcome-unknown/);
      expect(stderr)
        .to.include(`Send it again: ruffinweb emails resend ${stored[4]?.receipt}\n`)
        .and.include(' --again');
    });

    it('exit 1 if not found', async () => {
      const runs = await Promise.all([
        run('messages show RW-0000000000'),
        run('messages show nothing'),
        run('messages list --form nothing'),
        run('messages list --cursor nothing'),
      ]);
      expect(runs.map((it) => it.code)).to.deep.equal([1, 1, 1, 2]);
      expect(runs[0]?.stderr).to.equal('there is no message RW-0000000000: see "ruffinweb messages list"');
    });

    it('are listed even if they cannot be decrypted', async () => {
      await using copy = await createDatabase();
      await using context = await openTestContext(copy);
      const [broken, whole] = await buildMessages(context, 2);
      await copy.query(`update messages set content = $1 where id = $2`, [Buffer.alloc(60, 1), broken?.id]);
      await copy.query(`update senders set address = $1 where name is not null`, [Buffer.alloc(60, 1)]);
      const [list, table, senders, emails] = await Promise.all([
        runHere(['messages', 'list', '--json'], copy),
        runHere(['messages', 'list'], copy),
        runHere(['senders', 'list', '--json'], copy),
        runHere(['emails', 'list', '--kind', 'auto-reply', '--json'], copy),
      ]);
      const [first, second] = JSON.parse(list.stdout).items;
      expect(first).to.include({ receipt: whole?.receipt, email: 'ada2@example.test' });
      expect(second).to.include({ receipt: broken?.receipt, email: null, message: null, extra: null });
      expect(table.stdout).to.include('(cannot be opened)');
      expect(JSON.parse(senders.stdout).items[0]).to.include({ email: null, name: 'Ada Lovelace' });
      expect(JSON.parse(emails.stdout).items[0]).to.include({ to: null });
    });
  });

  describe('a message that is linked to another sender', () => {
    it('is not opened, exported or mailed', async () => {
      await using copy = await createDatabase();
      await using context = await openTestContext(copy);
      const [moved, own] = await buildMessages(context, 2);
      const [other] = await copy.query<{ id: string }>('select sender_id as id from messages where id = $1', [own?.id]);
      await copy.query('update messages set sender_id = $1 where id = $2', [other?.id, moved?.id]);
      const runJson = async (...args: string[]) => JSON.parse((await runHere([...args, '--json'], copy)).stdout);
      const jsonl = async () =>
        (await runHere(['messages', 'export', '--format', 'jsonl'], copy)).stdout.trim().split('\n');
      const views = [
        (await runJson('messages', 'list')).items,
        [await runJson('messages', 'show', 'latest'), await runJson('messages', 'show', moved?.receipt ?? '')],
        (await runJson('senders', 'export', other?.id ?? '')).messages.toReversed(),
        (await jsonl()).map((line) => JSON.parse(line)).toReversed(),
      ];
      for (const [whole, broken] of views) {
        expect(broken).to.include({ receipt: moved?.receipt, email: null, name: null, message: null, extra: null });
        expect(whole).to.include({ receipt: own?.receipt, email: 'ada2@example.test' });
      }
      const { emails } = await runJson('messages', 'show', moved?.receipt ?? '');
      const notification = emails.find((it: { kind: string }) => it.kind === 'notification');
      const failure = await runHere(['emails', 'show', notification.id, '--mail'], copy).catch((it: unknown) => it);
      expect(failure).to.be.instanceOf(SealBroken);
    });
  });

  describe('emails', () => {
    it('show the full SMTP answer and the next command', async () => {
      const [{ id }] = (await json('emails list --state failed --kind auto-reply')).items;
      const said = 'connection lost after the final dot';
      const narrow = await run(`emails show ${id}`, 60);
      expect(withoutColours(narrow.stdout)).to.not.match(new RegExp(`unknown.*${said}`));
      expect(withoutColours(narrow.stdout)).to.include(`\n│ ${said}\n`);
      expect(narrow.stderr).to.equal(`\nSend it again:\n  ruffinweb emails resend ${id} --again\n`);
      const wide = await run(`emails show ${id}`, 140);
      expect(wide.stdout)
        .to.match(new RegExp(`unknown.*${said}`))
        .and.not.include('│');
      expect(wide.stderr).to.equal(`\nSend it again: ruffinweb emails resend ${id} --again\n`);
    });

    it('are due now once their time has come', async () => {
      const [{ id }] = (await json('emails list --state failed')).items;
      const due = async (sql: string) => {
        await db.query(`update emails set state = 'queued', due_at = now() ${sql} where id = $1`, [id]);
        const [list, one] = [await run('emails list --state queued'), await run(`emails show ${id}`)];
        return [/due .*?(?= {2}|$)/m.exec(list.stdout)?.[0], /^due +(.*) \(/m.exec(withoutColours(one.stdout))?.[1]];
      };
      expect(await due(`- interval '10 minutes'`)).to.deep.equal(['due now', 'now, since 10 min ago']);
      for (const text of await due(`+ interval '4 seconds'`)) expect(text).to.match(/^(due )?in [1-4] s$/);
      expect(await due(`+ interval '10 minutes 30 seconds'`)).to.deep.equal(['due in 10 min', 'in 10 min']);
      await db.query(`update emails set state = 'failed' where id = $1`, [id]);
    });

    it('are listed newest first, by state, kind, form and time', async () => {
      const [all, failed, sent, replies, other, old] = await Promise.all([
        json('emails list'),
        json('emails list --state failed'),
        json('emails list --state sent'),
        json('emails list --kind auto-reply'),
        json('emails list --form other'),
        json('emails list --until 1h'),
      ]);
      expect(all.items).to.have.lengthOf(9);
      expect(all.items.map((it: { id: string }) => it.id)).to.deep.equal(
        all.items
          .map((it: { id: string }) => it.id)
          .toSorted()
          .toReversed(),
      );
      expect(failed.items).to.deep.equal(all.items);
      expect(replies.items).to.have.lengthOf(4);
      expect([sent.items, other.items, old.items]).to.deep.equal([[], [], []]);
      const notification = all.items.find((it: { kind: string }) => it.kind === 'notification');
      expect(notification).to.deep.equal({
        id: notification.id,
        kind: 'notification',
        state: 'failed',
        to: 'owner@localhost',
        form: 'contact',
        messageId: stored[4]?.id,
        receipt: stored[4]?.receipt,
        tries: 1,
        dueAt: notification.dueAt,
        failure: 'refused',
        createdAt: stored[4]?.receivedAt.toISOString(),
        sentAt: null,
        resendOf: null,
        digest: false,
        leased: false,
      });
    });

    it('are shown with every attempt, its answer, and advice', async () => {
      const { items } = await json('emails list --kind auto-reply --limit 1');
      const [{ id }] = items;
      const [shown, screen, missing] = await Promise.all([
        json(`emails show ${id}`),
        run(`emails show ${id}`),
        run('emails show x'),
      ]);
      const { attempts, ...email } = shown;
      expect(email).to.deep.equal(items[0]);
      expect(attempts).to.have.lengthOf(1);
      expect(attempts[0]).to.deep.equal({
        outcome: 'unknown',
        code: null,
        reply: 'connection lost after the final dot',
        startedAt: attempts[0].startedAt,
        finishedAt: attempts[0].finishedAt,
      });
      expect(attempts[0].startedAt).to.match(instant);
      expect(screen.stdout)
        .to.include('outcome-unknown: it may have arrived')
        .and.to.include('connection lost after the final dot');
      expect(screen.stderr).to.include(`ruffinweb emails resend ${id} --again`);
      expect(missing).to.include({ code: 1, stdout: '' });
    });
  });

  it('begin at a time in the zone of the terminal, or in UTC', async () => {
    // An hour ago on an island that is 14 hours ahead: in UTC still to come.
    const time = new Date(Date.now() + 13 * 3_600_000).toISOString().slice(0, 16);
    process.env.TZ = 'Pacific/Kiritimati';
    try {
      for (const list of ['messages list', 'emails list', 'messages export --json']) {
        const [local, utc] = [await run(`${list} --since ${time}`), await run(`${list} --since ${time} --utc`)];
        expect([local.code, utc.code, utc.stdout], list).to.deep.equal([0, 0, '']);
        expect(local.stdout, list).to.include(stored[4]?.receipt ?? 'RW-');
      }
    } finally {
      process.env.TZ = 'UTC';
    }
  });

  it('are masked on demand, in tables and in JSON', async () => {
    const outputs = await Promise.all(
      [
        'senders list',
        'messages list',
        'emails list',
        'messages show latest',
        'senders show --email ada@example.test',
        'messages list --json',
        'emails list --json',
      ].map((args) => run(`${args} --mask`)),
    );
    for (const { code, stdout } of outputs) {
      expect(code).to.equal(0);
      expect(stdout).to.not.match(/ada\d?@|Lovelace|203\.0/);
      expect(stdout).to.include('***');
    }
    expect(outputs[0]?.stdout).to.include('a***@example.test').and.to.include('A***');
  });

  it('fit into any terminal, and are not cut in a pipe', async () => {
    for (const columns of [40, 80, 140]) {
      for (const args of [
        'senders list',
        'messages list',
        'emails list',
        'messages show latest',
        'emails list --utc',
      ]) {
        const { stdout } = await run(args, columns);
        // A whole id is worth more than a table that fits.
        const limit = args.startsWith('emails') || args.includes('show') ? Math.max(columns, 68) : columns;
        for (const line of withoutColours(stdout).split('\n')) {
          expect(textWidth(line), `${args} ${columns}: ${line}`).to.be.at.most(limit);
        }
      }
    }
    const failed = withoutColours((await run('emails list --state failed', 80)).stdout);
    expect(failed)
      .to.match(/^TO +KIND +RECEIPT +STATE +WHEN +REASON$/m)
      .and.match(/auto-reply +RW-\w{10} +failed .*outcome/);
    const [whole, narrow] = await Promise.all([
      run('messages list'),
      runHere(['messages', 'list'], db, { env: { COLUMNS: '70' } }),
    ]);
    expect(whole.stdout).to.include('NAME').and.to.include('second\\u{9b}31m \\u{202e}gnp.exe');
    expect(narrow.stdout).to.include('MESSAGE').and.to.not.include('NAME');
    expect(narrow.stdout).to.include('Ada Lov').and.not.include('ada5@');
  });

  it('say on stderr what to do if the list is empty', async () => {
    await using empty = await createDatabase();
    const list = (...args: string[]) => runHere(args, empty);
    const runs = await Promise.all([
      list('senders', 'list'),
      list('messages', 'list'),
      list('emails', 'list'),
      list('messages', 'list', '--status', 'held'),
      list('messages', 'list', '--json'),
      list('messages', 'list', '--quiet'),
      list('messages', 'show', 'latest'),
    ]);
    expect(runs.map((it) => it.code)).to.deep.equal([0, 0, 0, 0, 0, 0, 1]);
    expect(runs.slice(0, 4).map((it) => it.stdout)).to.deep.equal(['', '', '', '']);
    expect(runs[0]?.stderr).to.include('Post to /api/messages');
    expect(runs[3]?.stderr).to.include('Leave out a filter');
    expect(JSON.parse(runs[4]?.stdout ?? '')).to.deep.equal({ items: [], next: null });
    expect(runs[5]).to.include({ stdout: '', stderr: '' });
  });

  it('offer the existing states, kinds and statuses', async () => {
    const help = await Promise.all([run('emails list --help'), run('messages list --help')]);
    const choices = help
      .map((it) => it.stdout)
      .join('')
      .replace(/\s+/g, ' ');
    for (const values of [emailStates, emailKinds, messageStatuses]) {
      expect(choices).to.include(`(choices: ${values.map((it) => `"${it}"`).join(', ')})`);
    }
  });
});
