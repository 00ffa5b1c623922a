import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';
import { adminShapes } from '../../src/server/openapi/admin-schemas.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { decideNextStep } from '../../src/services/delivery/retry-schedule.ts';
import { settleEmails } from '../../src/services/delivery/settle-emails.ts';
import { openScope } from '../../src/services/scope.ts';
import { logNewErasures, replayErasureLog } from '../../src/services/senders/replay-erasures.ts';
import { runHere } from '../cli/terminal.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, ruffinweb, temporaryFolder } from '../support/program.ts';
import { until } from '../support/until.ts';

const ada = ['--email', 'ADA@example.test'];

describe('senders export and erase', () => {
  let db: TestDatabase;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let context: Context;
  let log: string;

  before(async () => {
    db = await createDatabase();
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    folder = await temporaryFolder();
    log = join(folder.path, 'erasures.jsonl');
    context = await openTestContext(db, { DATA_DIR: folder.path });
    await db.empty();
    await db.query('truncate recent_posts, message_keys, erasures');
  });
  afterEach(async () => {
    await context[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const run = (...args: string[]) => runHere(['senders', ...args], db, { settings: { DATA_DIR: folder.path } });
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, '--json');
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    return JSON.parse(stdout);
  };
  const addresses = async () => (await json('list')).items.map((it: { email: string }) => it.email).toSorted();
  /** Three messages by two people: the first and the last are Ada's. */
  const build = () => buildMessages(context, 3, (index) => (index === 2 ? { email: 'Ada@example.test' } : {}));

  describe('export', () => {
    it('prints everything about one address, and nothing else', async () => {
      const stored = await build();
      await settleDue(context, ({ kind }) => (kind === 'auto-reply' ? mailOutcomes.accepted : mailOutcomes.refused));
      await runHere(['messages', 'hold', stored[2]?.id ?? ''], db);
      const everything = await json('export', ...ada);
      expect(adminShapes.SenderExport.parse(everything), 'only documented fields').to.deep.equal(everything);
      expect(everything.sender).to.deep.equal(await json('show', ...ada));
      expect(everything.lastAutoReplyAt).to.equal(stored[0]?.receivedAt.toISOString());
      expect(everything).to.include({ suppressedAt: null, erasedAt: null });
      expect(everything.messages.map((it: { id: string }) => it.id)).to.deep.equal([stored[0]?.id, stored[2]?.id]);
      const [first, last] = everything.messages;
      expect(first).to.include({ message: 'Hello there', email: 'ada@example.test', clientAddress: '203.0.113.0/24' });
      expect(last).to.include({ status: 'held', email: 'Ada@example.test' });
      expect(last.heldAt).to.be.a('string');
      expect(first.repeats.map((it: { kind: string }) => it.kind)).to.deep.equal(['idempotency-key', 'double-click']);
      expect(first.emails.map((it: { kind: string; state: string }) => `${it.kind} ${it.state}`)).to.have.members([
        'notification failed',
        'auto-reply sent',
      ]);
      for (const email of first.emails) expect(email.attempts, email.kind).to.have.lengthOf(1);
      expect(JSON.stringify(everything)).to.not.include('ada2@example.test').and.not.include('Hello there 2');
      expect(await json('export', everything.sender.id)).to.deep.include({ messages: everything.messages });
    });

    it('reports what is left of somebody without messages', async () => {
      await build();
      await db.query(`insert into suppressions select address_index, now() from reply_days`);
      await run('erase', ...ada, '--yes');
      const everything = await json('export', ...ada);
      expect(everything).to.deep.include({ sender: null, lastAutoReplyAt: null, messages: [] });
      expect(everything.suppressedAt).to.be.a('string');
      expect(everything.erasedAt).to.be.a('string');
      const nobody = await run('export', '--email', 'nobody@example.test');
      expect(nobody).to.include({ code: 1, stdout: '' });
      expect(nobody.stderr).to.include('nothing is stored about nobody@example.test');
      expect((await run('export')).code).to.equal(2);
      expect((await run('export', 'x', ...ada)).code).to.equal(2);
    });
  });

  describe('erase', () => {
    it('removes everything, and keeps an anonymous record', async () => {
      await build();
      const none = await run('erasures');
      expect(none).to.include({ code: 0, stdout: '' });
      expect(none.stderr).to.include('Nobody was erased yet').and.include('ruffinweb senders erase --email');
      await settleDue(context, () => mailOutcomes.accepted);
      const erased = await json('erase', ...ada, '--yes');
      expect(erased).to.include({ messages: 2, emails: 3, underway: 0, logged: true });
      expect(await addresses()).to.deep.equal(['ada2@example.test']);
      const [left] = await db.query(`select (select count(*) from messages)::int as messages,
        (select count(*) from emails)::int as emails, (select count(*) from attempts)::int as attempts,
        (select count(*) from recent_posts)::int as posts, (select count(*) from message_keys)::int as keys,
        (select count(*) from reply_days)::int as replies, (select count(*) from erasures)::int as erasures`);
      expect(left).to.deep.equal({ messages: 1, emails: 2, attempts: 2, posts: 1, keys: 1, replies: 1, erasures: 1 });
      const text = await readFile(log, 'utf8');
      expect(text).to.match(/^\{"erasedAt":"[^"]+Z","address":"[\w-]{43}","signature":"[\w-]{43}"\}\n$/);
      expect(text)
        .to.include(erased.erasedAt)
        .and.not.match(/ada@|lovelace|example/i);
      expect((await run('erasures')).stdout).to.equal(text);
      const again = await run('erase', ...ada, '--yes');
      expect(again).to.include({ code: 1, stdout: '' });
      expect(again.stderr).to.include('nobody has written from');
    });

    it('has a later date than everything it removed', async () => {
      await build();
      const post = await db.lockKey(context.keyring.addressIndex('ada@example.test').readBigInt64BE(0));
      const erased = json('erase', ...ada, '--yes');
      await db.waitingForLocks(1);
      const [last] = await db.query<{ received_at: Date }>(
        'update messages set received_at = clock_timestamp() where id in (select max(id::text)::uuid from messages) returning received_at',
      );
      await post.release();
      const at = new Date((await erased).erasedAt).getTime();
      expect(at).to.be.at.least(last?.received_at.getTime() ?? Number.NaN);
      const replayed = await db.query('select from erasures where erased_at >= $1', [last?.received_at]);
      expect(replayed).to.have.lengthOf(1);
    });

    it('wins over a block at the same moment', async () => {
      await build();
      const rows = await db.lockRows('senders');
      const erased = run('erase', ...ada, '--yes');
      await db.waitingForLocks(1);
      const blocked = run('block', ...ada);
      await db.waitingForLocks(2);
      await rows.release();
      expect(await erased).to.include({ code: 0 });
      const { code, stdout, stderr } = await blocked;
      expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' });
      expect(stderr).to.include('was erased at this moment');
    });

    it('asks on a terminal, and requires --yes elsewhere', async () => {
      await build();
      const unasked = await ruffinweb(['senders', 'erase', ...ada], { DATABASE_URL: db.url, DATA_DIR: folder.path });
      expect(unasked).to.include({ code: 2, stdout: '' });
      expect(unasked.stderr).to.include('pass --yes');
      const at = (types: string) =>
        runHere(['senders', 'erase', ...ada], db, { columns: 80, types, settings: { DATA_DIR: folder.path } });
      expect((await at('n\n')).code).to.equal(1);
      expect(await addresses()).to.have.lengthOf(2);
      const yes = await at('y\n');
      expect(yes.code).to.equal(0);
      expect(yes.stdout).to.equal('erased: 2 messages and 3 emails are gone\n');
      expect(yes.stderr).to.include('for good: 2 messages, emails included?').and.include('erasures.jsonl');
      expect(await addresses()).to.deep.equal(['ada2@example.test']);
      expect((await run('erase', '--yes')).code).to.equal(2);
      expect((await run('erase', 'nothing', '--yes')).code).to.equal(1);
    });

    it('removes mail in flight, and ignores its result', async () => {
      await buildMessages(context, 1);
      const scope = openScope(context);
      const { rows: emails } = await claimDue(scope, 10);
      expect(await json('erase', ...ada, '--yes')).to.include({ messages: 1, emails: 2, underway: 2 });
      const settled = await settleEmails(
        scope,
        emails.map((email) => {
          const outcome = mailOutcomes.accepted;
          return { row: email, startedAt: scope.now(), outcome, next: decideNextStep(email, outcome, 0) };
        }),
      );
      expect(settled.size).to.equal(0);
      expect([await db.count('attempts'), await db.count('emails')]).to.deep.equal([0, 0]);
    });

    it('is complete for someone who wrote hundreds of times', async () => {
      const [first] = await buildMessages(context, 1);
      await db.query(
        `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
           'id', lpad(to_hex(n), 8, '0') || substr($1, 9), 'receipt', 'RW-' || lpad(n::text, 10, '0'))) as m
         from messages, generate_series(1, 450) as n) as copies`,
        [first?.id],
      );
      expect(await json('erase', ...ada, '--yes')).to.include({ messages: 451, emails: 2 });
      expect([await db.count('messages'), await db.count('senders')]).to.deep.equal([0, 0]);
    });

    it('is logged by the servers if there is no data folder here', async () => {
      await build();
      const elsewhere = { DATA_DIR: join(folder.path, 'nowhere') };
      const { stdout } = await runHere(['senders', 'erase', ...ada, '--yes', '--json'], db, { settings: elsewhere });
      expect(JSON.parse(stdout).logged).to.equal(false);
      await logNewErasures(openScope(context));
      const first = (await run('erasures')).stdout;
      expect(await readFile(log, 'utf8')).to.equal(first);
      await logNewErasures(openScope(context));
      expect(await readFile(log, 'utf8'), 'nothing new').to.equal(first);
      // The same person wrote again and was erased again: the count stays the same.
      await db.query(`update erasures set erased_at = erased_at + interval '1 hour'`);
      await logNewErasures(openScope(context));
      expect(await readFile(log, 'utf8')).to.equal(first + (await run('erasures')).stdout);
    });

    it("is in a server's log soon, wherever it was done", async () => {
      await build();
      const elsewhere = { DATA_DIR: join(folder.path, 'nowhere') };
      await runHere(['senders', 'erase', ...ada, '--yes'], db, { settings: elsewhere });
      const settings = { DATABASE_URL: db.url, DATA_DIR: folder.path };
      await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
      const stored = (await run('erasures')).stdout;
      await until('the server has written it', async () => (await readFile(log, 'utf8').catch(() => '')) === stored);
      await server.stop();
    });
  });

  describe('after a restore', () => {
    /** Erases Ada, and then restores the database to its earlier state. */
    const eraseAndRestore = async () => {
      const stored = await build();
      const tables = ['senders', 'messages', 'emails'];
      for (const table of tables) await db.query(`create table backup_${table} as select * from ${table}`);
      await run('erase', ...ada, '--yes');
      await db.query('delete from senders where not exists (select from messages where sender_id = senders.id)');
      await db.query('truncate messages, senders, erasures cascade');
      for (const table of tables) {
        await db.query(`insert into ${table} select * from backup_${table}; drop table backup_${table}`);
      }
      expect(await addresses()).to.deep.equal(['ada2@example.test', 'ada@example.test']);
      return stored;
    };

    it('"erase --replay" erases the restored data once', async () => {
      await eraseAndRestore();
      await buildMessages(context, 1, () => ({ email: 'ada@example.test', message: 'Back again', name: 'A. L.' }));
      const first = await json('erase', '--replay', log, '--yes');
      expect(first).to.deep.equal({ records: 1, messages: 2, senders: 0, inFile: 1, strange: 0 });
      const everything = await json('export', ...ada);
      expect(everything.messages.map((it: { message: string }) => it.message)).to.deep.equal(['Back again']);
      expect(everything.sender).to.include({ messages: 1, name: null });
      expect(everything.sender.firstMessageAt).to.equal(everything.messages[0].receivedAt);
      expect(await db.count('emails'), 'two for each message that is left').to.equal(4);

      const second = await run('erase', '--replay', log, '--yes');
      expect(second.stdout).to.equal('nothing to do: the database knows all 1 erasure\n');
      expect(await db.count('messages')).to.equal(2);
    });

    it('a worker erases again before it sends anything', async () => {
      await eraseAndRestore();
      const done = await ruffinweb(['deliver', '--once'], {
        DATABASE_URL: db.url,
        DATA_DIR: folder.path,
      });
      expect(done.code).to.equal(0);
      expect(done.stderr)
        .to.include('they were done again')
        .and.not.match(/ada@|Lovelace/);
      expect(await addresses()).to.deep.equal(['ada2@example.test']);
      expect(await db.emails(), 'nothing was sent about Ada').to.deep.equal({
        'auto-reply sent': 1,
        'notification sent': 1,
      });
    });

    it('a server erases again before it listens', async () => {
      await eraseAndRestore();
      const settings = { DATABASE_URL: db.url, DATA_DIR: folder.path };
      await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
      expect(await addresses()).to.deep.equal(['ada2@example.test']);
      await server.stop();
    });

    it('a running worker erases again after an outage', async () => {
      await using worker = await RunningServer.startWorker({ DATABASE_URL: db.url, DATA_DIR: folder.path });
      await worker.said(/delivering to/);
      await runHere(['emails', 'pause'], db);
      await eraseAndRestore();
      const outage = await db.lockTable('emails');
      await db.query(`select pg_notify('ruffinweb_emails', '')`);
      await worker.said(/the database does not answer/);
      await outage.release();
      await worker.said(/they were done again/);
      expect(await addresses()).to.deep.equal(['ada2@example.test']);
      await worker.stop();
    });

    it('ignores invalid lines, and applies the others', async () => {
      await eraseAndRestore();
      const good = await readFile(log, 'utf8');
      const changed = good.replace(/"erasedAt":"20/, '"erasedAt":"21');
      await writeFile(log, changed + good.slice(0, 60));
      const none = await run('erase', '--replay', log, '--yes');
      expect(none).to.include({ code: 1, stdout: '' });
      expect(none.stderr).to.include('is not the erasure log of this database');
      await replayErasureLog(openScope(context));
      expect(await addresses()).to.have.lengthOf(2);

      await run('erase', '--email', 'ada2@example.test', '--yes');
      const lines = (await readFile(log, 'utf8')).split('\n');
      expect(lines).to.have.lengthOf(4);
      await writeFile(log, `${lines.join('\n')}${good}`);
      const replayed = await run('erase', '--replay', log, '--yes', '--json');
      expect(JSON.parse(replayed.stdout)).to.deep.equal({ records: 1, messages: 2, senders: 1, inFile: 2, strange: 2 });
      expect(replayed.stderr).to.include('2 lines of the file cannot be used (line 1, 2)');
      expect(await addresses()).to.deep.equal([]);
    });

    it('accepts a byte order mark and CRLF, and names lines it cannot use', async () => {
      await eraseAndRestore();
      const good = await readFile(log, 'utf8');
      await writeFile(log, Buffer.from(`\uFEFF${good}`, 'utf16le'));
      const wide = await run('erase', '--replay', log, '--yes');
      expect(wide).to.include({ code: 2, stdout: '' });
      expect(wide.stderr).to.include(`${log}, line 1: is UTF-16`);
      expect(await addresses()).to.have.lengthOf(2);

      // Two files joined, with a line between them that a power cut has torn.
      await writeFile(log, `\uFEFF\r\n{"er\u0000\u0000\n\uFEFF${good.replace('\n', '\r\n')}`);
      expect((await run('erase', '--replay', log, '--yes')).stderr).to.include(`${log}, line 2: contains a zero byte`);
      const lines: string[] = [];
      const warned = openScope({
        ...context,
        log: createLog({ level: 'warn', format: 'json' }, { write: (it) => lines.push(it) }),
      });
      await replayErasureLog(warned);
      expect(await addresses()).to.deep.equal(['ada2@example.test']);
      expect(lines.join('')).to.match(/"lines":\[2\].*lines of the erasure log cannot be used/);
    });

    it('reports problems with the file, and asks', async () => {
      await eraseAndRestore();
      const missing = await run('erase', '--replay', join(folder.path, 'none'), '--yes');
      expect(missing).to.include({ code: 1, stdout: '' });
      expect(missing.stderr).to.include('cannot be read');
      expect((await run('erase', '--replay', log)).code).to.equal(2);
      expect((await run('erase', '--replay', log, ...ada)).code).to.equal(2);
      expect(await addresses()).to.have.lengthOf(2);
    });
  });
});
