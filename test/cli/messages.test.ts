import { spawn } from 'node:child_process';
import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { exportMessages } from '../../src/services/messages/export-messages.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { programPath } from '../support/built-program.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { ruffinweb, testKeys } from '../support/program.ts';
import { runHere, withoutColours } from './terminal.ts';

const unknownId = '01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a';

describe('messages', () => {
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
    await db.query('truncate recent_posts');
  });

  const run = (...args: string[]) => runHere(['messages', ...args], db);
  const json = async (...args: string[]) => {
    const { code, stdout } = await run(...args, '--json');
    return { code, items: JSON.parse(stdout).items };
  };
  const statuses = () => db.query('select status, reasons from messages order by id');
  const held = () => buildMessages(context, 1, () => ({ _gotcha: 'x' }));

  describe('release', () => {
    it('queues the held mail and clears the reasons', async () => {
      const [message] = await held();
      expect(await db.emails()).to.deep.equal({ 'notification held': 1 });
      const { code, stdout, stderr } = await ruffinweb(['messages', 'release', message?.receipt ?? ''], {
        DATABASE_URL: db.url,
      });
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
      expect(stdout).to.match(new RegExp(`${message?.receipt} +released`));
      expect(await statuses()).to.deep.equal([{ status: 'accepted', reasons: [] }]);
      expect(await db.emails()).to.deep.equal({ 'notification queued': 1 });
      expect(await settleDue(context, () => mailOutcomes.accepted)).to.have.lengthOf(1);
    });

    it('cancels the held auto-reply instead of sending it', async () => {
      const [message] = await buildMessages(context, 1);
      await run('hold', message?.id ?? '');
      expect(await db.emails()).to.deep.equal({ 'auto-reply held': 1, 'notification held': 1 });
      await run('release', message?.id ?? '');
      expect(await db.emails()).to.deep.equal({ 'auto-reply cancelled': 1, 'notification queued': 1 });
    });

    it('works once, and reports unknown messages separately', async () => {
      const [message] = await held();
      const id = message?.id ?? '';
      const [first, second] = [await json('release', id), await json('release', id, unknownId)];
      const entry = { id, receipt: message?.receipt, result: 'released', code: null, reason: null };
      expect(first).to.deep.equal({ code: 0, items: [entry] });
      expect(second).to.deep.equal({
        code: 1,
        items: [
          { ...entry, result: 'already-released' },
          {
            id: unknownId,
            receipt: null,
            result: 'refused',
            code: 'message-unknown',
            reason: `there is no message ${unknownId}`,
          },
        ],
      });
      expect((await run('release')).code).to.equal(2);
      expect((await json('release', 'latest')).items, 'by its receipt').to.deep.equal([second.items[0]]);
    });

    it('releases all that are held for one reason alone, or all', async () => {
      const links = Array.from({ length: 5 }, (_, i) => `https://x${i}.test`).join(' ');
      const [first, , both, trap] = await buildMessages(context, 4, (i) => ({
        ...(i < 3 && { message: `${i} ${links}` }),
        ...(i > 1 && { _gotcha: 'x' }),
      }));
      const stillHeld = async () =>
        (await db.query<{ id: string }>(`select id from messages where status = 'held' order by id`)).map(
          (it) => it.id,
        );

      const unasked = await run('release', '--reason', 'many-links');
      expect([unasked.code, unasked.stderr.trim()]).to.deep.equal([2, 'not a terminal: pass --yes']);
      const ask = (types: string, ...args: string[]) =>
        runHere(['messages', 'release', ...args], db, { columns: 100, types });
      const no = await ask('n\n', '--reason', 'many-links');
      expect(no.code).to.equal(1);
      expect(no.stderr).to.include('Release 2 held messages? Owners get an email about each. [y/N]');
      expect(await stillHeld()).to.have.lengthOf(4);

      expect((await ask('y\n', '--reason', 'many-links')).stdout).to.match(new RegExp(`${first?.receipt} +.*released`));
      expect(await stillHeld()).to.deep.equal([both?.id, trap?.id]);
      expect((await run('release', '--reason', 'many-links', '--yes')).stderr).to.include('held for this reason alone');
      expect((await json('release', '--all', '--yes')).items).to.have.lengthOf(2);
      expect(await stillHeld()).to.be.empty;
      expect((await json('release', '--all', '--yes')).items).to.be.empty;
      expect(await db.emails()).to.deep.equal({ 'notification queued': 4 });
      for (const args of [
        ['--all', 'RW-4K2M9Q7T1X'],
        ['--reason', 'spam'],
        ['--all', '--reason', 'many-links', '--yes'],
      ]) {
        expect((await run('release', ...args)).code, args.join(' ')).to.equal(2);
      }
    });
  });

  describe('hold', () => {
    it('holds unsent mail back and leaves sent mail alone', async () => {
      const [first, second] = await buildMessages(context, 2);
      await settleDue(context, (email) => (email.kind === 'auto-reply' ? mailOutcomes.accepted : mailOutcomes.later));
      const { code, items } = await json('hold', first?.receipt ?? '');
      expect(code).to.equal(0);
      expect(items[0]).to.include({ id: first?.id, receipt: first?.receipt, result: 'held' });
      expect(await statuses()).to.deep.equal([
        { status: 'held', reasons: ['held-by-hand'] },
        { status: 'accepted', reasons: [] },
      ]);
      expect(await db.emails()).to.deep.equal({
        'auto-reply sent': 2,
        'notification held': 1,
        'notification queued': 1,
      });
      expect((await run('show', first?.receipt ?? '')).stderr).to.include('Not spam? Send its mail: ruffinweb');
      await db.makeAllDue();
      const due = await settleDue(context, () => mailOutcomes.accepted);
      expect(due.map((email) => email.message?.id)).to.deep.equal([second?.id]);
      await run('hold', second?.id ?? '');
      expect((await run('show', 'latest')).stderr, 'nothing to send').to.include('Not spam? ruffinweb messages rel');
      expect((await json('hold', first?.receipt ?? '')).items[0].result).to.equal('already-held');
    });

    it('rejects a message whose mail is being sent', async () => {
      const [message] = await buildMessages(context, 1);
      await claimDue(openScope(context), 1);
      const { code, items } = await json('hold', message?.id ?? '');
      expect(code).to.equal(1);
      expect(items[0]).to.include({ result: 'refused', code: 'email-leased' });
      expect(await statuses()).to.deep.equal([{ status: 'accepted', reasons: [] }]);
      expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
    });

    it('takes mail from a lost worker and ignores its late result', async () => {
      const [message] = await buildMessages(context, 1);
      await claimDue(openScope(context), 2);
      await db.makeAllDue();
      expect((await run('hold', message?.id ?? '')).code).to.equal(0);
      expect(await db.query('select distinct lease_token from emails')).to.deep.equal([{ lease_token: null }]);
    });

    it('prevents resending failed mail until the release', async () => {
      const [message] = await buildMessages(context, 1);
      await settleDue(context, () => mailOutcomes.refused);
      await run('hold', message?.id ?? '');
      const resend = async () =>
        JSON.parse((await runHere(['emails', 'resend', '--failed', '--json'], db)).stdout).items.map(
          (it: { result: string; reason: string | null }) => it.reason ?? it.result,
        );
      expect(await resend()).to.deep.equal(['its message is held', 'its message is held']);
      await run('release', message?.id ?? '');
      expect(await resend()).to.deep.equal(['queued', 'queued']);
    });
  });

  describe('delete', () => {
    it('removes a message with its mail, and keeps its sender', async () => {
      const [first] = await buildMessages(context, 2, () => ({
        email: 'ada@example.test',
        message: `${Math.random()}`,
      }));
      await settleDue(context, () => mailOutcomes.accepted);
      const { code, items } = await json('delete', first?.receipt ?? '', '--yes');
      expect(code).to.equal(0);
      expect(items).to.deep.equal([
        { id: first?.id, receipt: first?.receipt, result: 'deleted', code: null, reason: null },
      ]);
      expect([await db.count('messages'), await db.count('emails'), await db.count('attempts')]).to.deep.equal([
        1, 1, 1,
      ]);
      expect(await db.query('select message_count from senders')).to.deep.equal([{ message_count: 1 }]);
      expect((await run('show', first?.receipt ?? '')).code).to.equal(1);
      expect((await run('delete', first?.receipt ?? '', '--yes')).code).to.equal(1);
    });

    it('asks first, and takes no answer as no', async () => {
      const [message] = await buildMessages(context, 1);
      const args = ['messages', 'delete', message?.receipt ?? ''];
      const [scripted, no] = [await runHere(args, db), await runHere(args, db, { columns: 80, types: '\n' })];
      expect(scripted).to.include({ code: 2, stdout: '' });
      expect(scripted.stderr).to.include('pass --yes');
      expect(no).to.include({ code: 1, stdout: '' });
      expect(no.stderr).to.include(`Delete message ${message?.receipt} for good, emails included? [y/N]`);
      expect(await db.count('messages')).to.equal(1);
      const yes = await runHere(args, db, { columns: 80, types: 'y\n' });
      expect(yes.code).to.equal(0);
      expect(withoutColours(yes.stdout)).to.match(/deleted/);
      expect(await db.count('messages')).to.equal(0);
    });
  });

  describe('export', () => {
    const odd = '=cmd|\'/c calc\'!A1, "quoted"\r\nsecond line \u001b[2J \u202e';

    it('writes CSV that no spreadsheet executes', async () => {
      const stored = await buildMessages(context, 9, (index) => ({
        message: odd.replace('=', ['=', '+', '-', '@', '\t', '\r', '\n', '＝', 'plain '][index] ?? ''),
        name: '@SUM(1)',
        'a field': '=1+1',
      }));
      const { code, stdout, stderr } = await ruffinweb(['messages', 'export'], { DATABASE_URL: db.url });
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '9 messages exported\n' });
      const [header, ...rows] = readCsv(stdout);
      expect(header?.join()).to.equal(
        'receipt,receivedAt,form,status,reasons,email,name,subject,message,extra,senderId,id',
      );
      expect(rows.map((row) => row[0])).to.deep.equal(stored.map((it) => it.receipt));
      expect(rows.map((row) => row[8]?.slice(0, 6))).to.deep.equal([
        "'=cmd|",
        "'+cmd|",
        "'-cmd|",
        "'@cmd|",
        "'\tcmd|",
        "'\rcmd|",
        "'\ncmd|",
        "'＝cmd|",
        'plain ',
      ]);
      for (const cell of rows.flat()) expect(cell).to.not.match(/^[=+\-@＝\t\r\n\0]/);
      expect(rows[0]?.[8]).to.equal(`'${odd.replace('\u001b', '\\u{1b}')}`);
      expect(JSON.parse(rows[0]?.[9] ?? '')).to.deep.equal({ 'a field': '=1+1' });
    });

    it('writes CSV without control characters, to a file and to a terminal', async () => {
      const codes = Array.from({ length: 0xa0 }, (_, code) => code).filter((code) => code < 0x20 || code > 0x7e);
      const controls = String.fromCharCode(...codes);
      await buildMessages(context, 1, () => ({ message: `a${controls}b`, 'a field': controls }));
      const { stdout } = await run('export');
      expect(stdout).to.not.match(/(?![\t\r\n])\p{Cc}/u);
      const [, row] = readCsv(stdout);
      const shown = [...controls].map((it) => (/[\t\r\n]/.test(it) ? it : `\\u{${it.charCodeAt(0).toString(16)}}`));
      expect(row?.[8]).to.equal(`a${shown.join('')}b`);
      expect(JSON.parse(row?.[9] ?? '')).to.deep.equal({ 'a field': controls });
      const seen = await runHere(['messages', 'export'], db, { columns: 80 });
      expect(seen.stdout).to.not.match(/(?![\r\n])\p{Cc}/u);
    });

    it('writes CSV that is safe if split at semicolons', async () => {
      const texts = [
        'Hi;=1+1;',
        'Hi\n=1+1',
        'Hi\r\n\r\n+1',
        'Hi;"=1+1;',
        'Hi; -1',
        'Hi\t@SUM(1)',
        'Hi\n＝1',
        'a;b\nc; d = e',
      ];
      await buildMessages(context, texts.length, (index) => ({
        message: texts[index],
        name: texts[0],
        company: texts[0],
      }));
      const { stdout } = await run('export');
      // As Excel reads them: a quoted cell is one only if the quote is its first character.
      const cells = stdout.split(/[;\r\n\t]/).map((cell) => cell.replaceAll('"', '').trimStart());
      expect(cells.filter((cell) => /^[=+\-@＝＋－＠]/.test(cell))).to.deep.equal([]);
      const rows = readCsv(stdout).slice(1);
      expect(rows.at(-1)?.[8], 'nothing else is changed').to.equal(texts.at(-1));
      expect(rows[2]?.[8]).to.equal("Hi\r\n\r\n'+1");
    });

    it('writes JSON Lines in the format of messages list', async () => {
      await buildMessages(context, 3, () => ({ message: `${odd}${Math.random()}` }));
      const { stdout } = await run('export', '--format', 'jsonl');
      const views = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(views).to.deep.equal((await json('list')).items.toReversed());
      expect(views[0].message).to.include(odd);
      expect((await run('export', '--json')).stdout).to.equal(stdout);
      expect(stdout).to.not.match(/(?!\n)[\p{Cc}\p{Cf}]/u);
    });

    it('applies the filters of the list', async () => {
      const stored = await buildMessages(context, 3, (index) => (index === 1 ? { _gotcha: 'x' } : {}));
      const receipts = async (...args: string[]) =>
        (await run('export', '--format', 'jsonl', ...args)).stdout
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line).receipt);
      expect(await receipts('--status', 'held')).to.deep.equal([stored[1]?.receipt]);
      expect(await receipts('--sender', 'ada3@example.test')).to.deep.equal([stored[2]?.receipt]);
      expect(await receipts('--until', '1h')).to.deep.equal([]);
      expect(await receipts('--form', 'contact')).to.have.lengthOf(3);
      const runs = await Promise.all([run('export', '--form', 'nothing'), run('export', '--format', 'xml')]);
      expect(runs.map((it) => it.code)).to.deep.equal([1, 2]);
      const seen = await runHere(['messages', 'export', '--form', 'nothing'], db, { columns: 80 });
      expect(
        [...runs, seen].map((it) => it.stdout),
        'not even a header',
      ).to.deep.equal(['', '', '']);
    });

    it('sends no control codes to a terminal, and masks on demand', async () => {
      await buildMessages(context, 1, () => ({ message: `${odd}\nRW-0000000000,2026-11-24` }));
      const screen = await runHere(['messages', 'export', '--mask'], db, { columns: 80 });
      expect(screen.stdout, 'no line of a message passes for a row').to.include('⏎RW-0000000000');
      expect(screen.stdout.split('\r\n')).to.have.lengthOf(3);
      expect(screen.stdout)
        .to.include('\\u{1b}[2J')
        .and.to.not.match(/[\u001b\u202e]/);
      expect(screen.stdout).to.include('a***@example.test').and.to.not.include('Lovelace');
    });

    describe('of more than fits into memory', () => {
      const many = 1000;

      before(async () => {
        await db.empty();
      });
      beforeEach(async () => {
        await buildMessages(context, 1, () => ({ message: 'x'.repeat(9000) }));
        await db.query(
          `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
             'id', lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000', 'receipt', 'RW-' || lpad(n::text, 10, '0'))) as m
           from messages, generate_series(1, ${many}) as n) as copies`,
        );
      });

      it('goes page by page and stops at the last message of its start', async () => {
        const pages: number[] = [];
        for await (const page of await exportMessages(openScope(context))) {
          if (pages.length === 0) {
            await db.query(`delete from messages where receipt in ('RW-0000000300', 'RW-0000000700')`);
            await buildMessages(context, 2);
          }
          pages.push(page.length);
        }
        expect(pages).to.deep.equal([200, 200, 200, 200, 199]);
      });

      it('ends quietly when its reader has seen enough', async () => {
        const { code, stderr } = await readSome('messages', 'export', '--format', 'jsonl', '--quiet');
        expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
      });

      it('exits 130 on Ctrl-C, after a whole line', async () => {
        const child = start('messages', 'export', '--format', 'jsonl');
        const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
        let text = '';
        // Nothing is read before the signal, so the program is waiting for its reader.
        await new Promise((resolve) => child.stdout.once('readable', resolve));
        child.kill('SIGINT');
        child.stdout.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        expect(await ended).to.deep.equal({ code: 130, signal: null });
        const lines = text.split('\n');
        expect(lines.at(-1)).to.equal('');
        expect(lines.length).to.be.below(many);
        for (const line of lines.slice(0, -1)) expect(JSON.parse(line).receipt).to.match(/^RW-/);
      });
    });
  });

  function start(...args: string[]) {
    return spawn(process.execPath, [programPath(), ...args], {
      env: { PATH: process.env.PATH, ENCRYPTION_KEYS: testKeys, DATABASE_URL: db.url },
    });
  }

  async function readSome(...args: string[]): Promise<{ code: number; stderr: string }> {
    const child = start(...args);
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdout.once('data', () => child.stdout.destroy());
    return { code: await new Promise((resolve) => child.on('close', resolve)), stderr };
  }
});

/** A strict RFC 4180 reader. */
function readCsv(text: string): string[][] {
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/y;
  const rows: string[][] = [[]];
  while (cell.lastIndex < text.length) {
    const found = cell.exec(text);
    if (found === null) throw new Error('not CSV');
    rows.at(-1)?.push(found[1]?.replaceAll('""', '"') ?? found[2] ?? '');
    if (found[3] === '\r\n') rows.push([]);
  }
  return rows.slice(0, -1);
}
