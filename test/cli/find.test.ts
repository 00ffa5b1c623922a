import { expect } from 'chai';
import pg from 'pg';
import type { Stored } from '../../src/services/intake/verdict.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';
import { runHere, withoutColours } from './terminal.ts';

describe('find', () => {
  let db: TestDatabase;
  let stored: Stored[];

  before(async () => {
    db = await createDatabase();
    await using context = await openTestContext(db);
    stored = await buildMessages(
      context,
      4,
      (index) =>
        [
          {
            name: 'Zoë Müller',
            subject: 'Große Straße',
            message: 'One red\r\n  bicycle, please',
            email: 'zoe@münchen.example',
          },
          { name: 'Ὀδυσσεύς', message: 'ΟΔΥΣΣΕΑΣ ﬁne', phone: '+49 171 555' },
          {
            name: undefined,
            message: `${'All about blue bicycles. '.repeat(40)}A unicorn! ${'And so on. '.repeat(40)}`,
          },
          { _gotcha: 'x', message: 'A held blue one' },
        ][index] ?? {},
    );
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });

  const found = async (...args: string[]) => {
    const { code, stdout, stderr } = await runHere(['find', ...args, '--json'], db);
    const receipts = stdout
      .split('\n')
      .filter((it) => it !== '')
      .map((line) => JSON.parse(line).receipt);
    return { code, stderr, which: receipts.map((it) => stored.findIndex(({ receipt }) => receipt === it)) };
  };
  const receipt = (index: number) => stored[index]?.receipt ?? '';

  it('finds words in every part of a message', async () => {
    const spaced = receipt(1)
      .replace(/^RW-(.{4})/, '# rw $1 ')
      .toLowerCase();
    const searches: [words: string[], which: number[]][] = [
      [['muller'], [0]],
      [['MU\u0308LLER', 'zoe'], [0]],
      [['strasse', 'grosse'], [0]],
      [['STRAẞE'], [0]],
      [['zoe@münchen.example'], [0]],
      [['xn--mnchen-3ya'], [0]],
      [['red bicycle'], [0]],
      [['bicycle'], [2, 0]],
      [['bicycle', 'red'], [0]],
      [['οδυσσευς'], [1]],
      [['οδυσσευσ'], [1]],
      [['Οδυσσεας', 'fine'], [1]],
      [['171 555'], [1]],
      [['phone'], [1]],
      [['blue'], [3, 2]],
      [[receipt(2)], [2]],
      [[`(${receipt(2).toLowerCase()})`], [2]],
      [[spaced], [1]],
      [spaced.split(' '), [1]],
      [[`#${receipt(2).slice(0, 9)}`], [2]],
      [[receipt(2), 'unicorn'], [2]],
      [[receipt(2), 'red'], []],
      [['müller große'], []],
      [['blue', 'red'], []],
    ];
    for (const [words, which] of searches) {
      expect((await found(...words)).which, words.join('|')).to.deep.equal(which);
    }
  });

  it('narrows by the filters of the list', async () => {
    expect((await found('blue', '--status', 'held')).which).to.deep.equal([3]);
    expect((await found('e', '--sender', receipt(1))).which).to.deep.equal([1]);
    expect((await found('e', '--sender', 'latest')).which).to.deep.equal([3]);
    expect((await found('blue', '--since', '1h', '--form', 'contact')).which).to.deep.equal([3, 2]);
    expect((await found('blue', '--until', '1h')).which).to.deep.equal([]);
    expect(await found('blue', '--form', 'nothing')).to.include({ code: 1 });
  });

  it('refuses words without characters', async () => {
    for (const word of ['', ' ', '\u0301\u0308']) {
      expect(await found('blue', word)).to.deep.include({ code: 2, which: [] });
      expect((await runHere(['messages', 'list', '--match', word], db)).code).to.equal(2);
    }
    expect((await runHere(['find'], db)).code).to.equal(2);
    const none = await runHere(['find', 'unicorn', 'nowhere'], db);
    expect(none.stderr).to.match(/^0 messages found in \d+: each word must occur, so try fewer words\n/);
  });

  it('prints who wrote, and the text around the words', async () => {
    const wide = await runHere(['find', 'unicorn'], db);
    expect(wide).to.include({ code: 0, stderr: '1 message found in 4\n' });
    expect(wide.stdout).to.match(
      new RegExp(
        `^${receipt(2)}  (just now|\\d+ .* ago)  contact  ada3@example\\.test\\n    ….* A unicorn! And .*…\\n$`,
      ),
    );
    const { stdout } = await runHere(['find', 'e', '--mask'], db, { columns: 60 });
    for (const line of withoutColours(stdout).split('\n')) expect(line.length, line).to.be.at.most(60);
    expect(stdout).to.include('Z*** <z***@').and.not.include('zoe@');
  });

  it('stops at the limit, and says that there may be more', async () => {
    expect(await found('blue', '--limit', '1')).to.deep.equal({
      code: 0,
      which: [3],
      stderr: '1 message found in 4; for more add --limit 2\n',
    });
  });

  it('messages list --match pages to the last match', async () => {
    const page = async (...args: string[]) =>
      JSON.parse((await runHere(['messages', 'list', '--match', 'e', ...args, '--json'], db)).stdout);
    const all = await page();
    expect(all.items).to.deep.equal(JSON.parse((await runHere(['messages', 'list', '--json'], db)).stdout).items);
    const [first, whole] = [await page('--limit', '3'), await page('--limit', '4')];
    expect(first.items).to.deep.equal(all.items.slice(0, 3));
    expect([all.next, whole.next]).to.deep.equal([null, null]);
    expect(await page('--cursor', first.next)).to.deep.equal({ items: all.items.slice(3), next: null });
    const table = await runHere(['messages', 'list', '--match', 'blue', 'unicorn'], db);
    expect(table.stdout.trim().split('\n')).to.have.lengthOf(2);
  });

  describe('in many messages, most of which cannot be decrypted', () => {
    before(async () => {
      await db.query(
        `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
           'id', lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000', 'receipt', 'RW-' || lpad(n::text, 10, '0'))) as m
         from messages, generate_series(1, 450) as n where receipt = $1) as copies`,
        [receipt(0)],
      );
    });

    it('counts these, exits 1, and still finds their receipts', async () => {
      const { code, stderr, stdout } = await runHere(['find', 'rw-0000000007', '--json'], db);
      expect(JSON.parse(stdout)).to.include({ receipt: 'RW-0000000007', message: null });
      expect(code).to.equal(1);
      expect(stderr).to.equal(
        '1 message found in 454\n450 messages cannot be decrypted, so only the receipt was compared: see "ruffinweb encryption status"\n',
      );
      const list = await runHere(['messages', 'list', '--match', 'red', '--json'], db);
      expect(list.code).to.equal(1);
      expect(JSON.parse(list.stdout)).to.deep.include({ next: null });
      expect(list.stderr).to.match(/^450 messages cannot be decrypted/);
      const page = await runHere(['messages', 'list', '--match', 'rw-00000', '--limit', '196', '--json'], db);
      expect(JSON.parse(page.stdout).next, 'a full page that ends with a batch').to.be.a('string');
    });

    it('shows the progress on a terminal', async () => {
      for (const args of [
        ['find', 'red'],
        ['messages', 'list', '--match', 'red'],
      ]) {
        const { stderr, stdout } = await runHere(args, db, { columns: 80 });
        expect(stderr).to.include('\r\u001b[K200 searched\r\u001b[K400 searched');
        expect(stdout).to.include(receipt(0)).and.not.include('searched');
      }
    });

    it('ends cleanly at Ctrl-C, and says what was not searched', async () => {
      const holder = new pg.Client({ connectionString: db.url });
      await holder.connect();
      try {
        for (const args of [
          ['find', 'blue'],
          ['messages', 'list', '--match', 'blue'],
        ]) {
          await holder.query('begin; lock table messages');
          await using search = await RunningServer.startCommand(args, { DATABASE_URL: db.url });
          await db.waitingForLocks(1);
          search.signal('SIGINT');
          await holder.query('commit');
          expect(await search.ended).to.deep.equal([130, null]);
          expect(search.output.match(/RW-/g), 'found in the first batch').to.have.lengthOf(2);
          expect(search.log).to.match(
            /2 messages found in 200; older messages were not searched|There are more: ruffinweb messages list .*--cursor/,
          );
        }
      } finally {
        await holder.end();
      }
    });
  });
});
