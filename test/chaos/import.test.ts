import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { createDjangoPostgresql, createDjangoSqlite, type OldMessage, type OldSender } from '../support/django.ts';
import { tellingMemory, toldMemory } from '../support/memory.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { until } from '../support/until.ts';

describe('a large import', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  before(async () => {
    folder = await temporaryFolder();
  });
  after(async () => {
    await folder[Symbol.asyncDispose]();
  });

  /** `count` messages of half as many people, a minute apart. */
  function oldFile(count: number): string {
    const path = join(folder.path, `${count}.sqlite3`);
    if (existsSync(path)) return path;
    const start = Date.parse('2019-01-01T00:00:00Z');
    createDjangoSqlite(path, {
      senders: Array.from({ length: count / 2 }, (_, n): OldSender => [n + 1, `p${n}@example.test`, `Person ${n}`]),
      messages: Array.from(
        { length: count },
        (_, n): OldMessage => [
          n + 1,
          `Message ${n} ${'with some words '.repeat(20)}`,
          new Date(start + n * 60_000).toISOString().replace('T', ' ').replace('Z', ''),
          (n % (count / 2)) + 1,
        ],
      ),
    });
    return path;
  }

  /** The same as a CSV file. Each message is in it twice, at the same time. */
  function csvFile(count: number): string {
    const path = join(folder.path, `${count}.csv`);
    const start = Date.parse('2019-01-01T00:00:00Z');
    const rows = Array.from({ length: count }, (_, n) => {
      const at = new Date(start + (n % (count / 2)) * 60_000).toISOString();
      return `p${n % (count / 2)}@example.test,"Message, ${'with some\r\nwords '.repeat(20)}",${at}`;
    });
    writeFileSync(path, `email,message,date\r\n${rows.join('\r\n')}`);
    return path;
  }

  /** The command for a file of either kind. */
  const commandOf = (where: string) => ['import', where.endsWith('.csv') ? 'csv' : 'django', where, '--json'];

  async function importAll(db: TestDatabase, where: string): Promise<{ peak: number; live: number }> {
    const startedAt = performance.now();
    const { code, stdout, stderr } = await ruffinweb(commandOf(where), {
      DATABASE_URL: db.url,
      NODE_OPTIONS: tellingMemory,
    });
    const seconds = (performance.now() - startedAt) / 1000;
    expect(code, stderr).to.equal(0);
    const { messages } = JSON.parse(stdout);
    const { peak, live } = toldMemory(stderr);
    const perSecond = Math.round(messages.found / seconds);
    console.log(
      `    ${messages.taken} taken, ${messages.takenBefore} before: ${perSecond}/s, ${peak >> 20} MiB, ${live >> 20} in use`,
    );
    return { peak, live };
  }

  it('needs no more memory for 100,000 messages than for 10,000', async function () {
    // Minutes where the machine has other work as well.
    this.timeout(900_000);
    const [few, many] = [oldFile(10_000), oldFile(100_000)];
    await using small = await createDatabase();
    await using large = await createDatabase();
    await using third = await createDatabase();
    await using fourth = await createDatabase();
    await using old = await createDjangoPostgresql();
    await old.query(`insert into backend_sender (id, email, name) select n, 'p' || n || '@example.test', 'Person ' || n
      from generate_series(1, 50000) as n`);
    await old.query(`insert into backend_message (id, message, date, message_sender_id)
      select n, 'Message ' || n || repeat(' with some words', 20), '2019-01-01'::timestamptz + n * interval '1 minute', (n % 50000) + 1
      from generate_series(1, 100000) as n`);
    const first = await importAll(small, few);
    for (const [db, where, inUse, had] of [
      [large, many, 1.3, 1.6],
      [large, many, 1.3, 1.6],
      [third, old.url, 1.3, 1.6],
      // It remembers a few bytes of each row.
      [fourth, csvFile(100_000), 1.5, 2],
    ] as const) {
      const { peak, live } = await importAll(db, where);
      expect(live / first.live, 'what is in use').to.be.lessThan(inUse);
      expect(peak / first.peak, 'what the process had').to.be.lessThan(had);
      expect([await db.count('messages'), await db.count('senders')]).to.deep.equal([100_000, 50_000]);
      expect(await db.count('emails')).to.equal(0);
    }
  });

  for (const kind of ['django', 'csv']) {
    describe(`an interrupted import ${kind}`, () => {
      let db: TestDatabase;
      let settings: Settings;
      let where: string;

      before(async () => {
        where = kind === 'csv' ? csvFile(10_000) : oldFile(10_000);
      });
      beforeEach(async () => {
        db = await createDatabase();
        settings = { DATABASE_URL: db.url };
      });
      afterEach(async () => {
        await db[Symbol.asyncDispose]();
      });

      /** No import reaches the second half before this is released. */
      async function keepFromHalf(): Promise<{ release(): Promise<void> }> {
        await using context = await openTestContext(db);
        return await db.lockKey(context.keyring.addressIndex('p4900@example.test').readBigInt64BE(0));
      }

      async function startAndWait(atLeast: number): Promise<RunningServer> {
        const command = await RunningServer.startCommand(commandOf(where), settings);
        await until(`${atLeast} are taken`, async () => (await db.count('messages')) >= atLeast, 60_000);
        return command;
      }

      /** Every message is there once, and every sender's counts match. */
      async function expectWhole(): Promise<void> {
        const { code, stderr } = await ruffinweb(commandOf(where), settings);
        expect(code, stderr).to.equal(0);
        expect(await db.count('messages')).to.equal(10_000);
        expect(await db.query('select count(*)::int from imported_rows')).to.deep.equal([{ count: 10_000 }]);
        const wrong = await db.query(`select from senders left join (
          select sender_id, count(*)::int, min(received_at), max(received_at) from messages group by 1
        ) as real on sender_id = id
        where (message_count, first_message_at, last_message_at) is distinct from (real.count, real.min, real.max)`);
        expect(wrong).to.deep.equal([]);
      }

      it('is complete after five kills and one more run', async () => {
        const end = await keepFromHalf();
        for (let round = 1; round <= 5; round++) {
          await using command = await startAndWait(round * 900);
          await command.stop('SIGKILL');
          expect(await db.count('messages')).to.be.lessThan(5000);
        }
        await end.release();
        await expectWhole();
      });

      it('ends after a whole page on Ctrl-C and exits with code 130', async () => {
        const end = await keepFromHalf();
        await using command = await startAndWait(1000);
        const stopped = command.stop('SIGINT');
        await end.release();
        const { code } = await stopped;
        const imported = JSON.parse(command.output);
        expect(code).to.equal(130);
        expect(imported.complete).to.equal(false);
        expect(imported.messages.taken).to.equal(await db.count('messages'));
        expect(imported.messages.taken).to.be.lessThan(10_000);
        await expectWhole();
      });

      it('is refused beside another one, and nothing is stored twice', async () => {
        const end = await keepFromHalf();
        const runs = [1, 2].map(() => ruffinweb(commandOf(where), settings));
        const refused = await Promise.race(runs).finally(() => end.release());
        expect(refused.code).to.equal(1);
        const [one, other] = await Promise.all(runs);
        expect([one?.code, other?.code].sort()).to.deep.equal([0, 1]);
        expect(`${one?.stderr}${other?.stderr}`).to.match(
          /^ruffinweb: another import into this database is running.*\n$/,
        );
        await expectWhole();
      });
    });
  }
});
