import { expect } from 'chai';
import { submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { describeWith, RedisServer } from '../support/machine-programs.ts';
import { Nginx } from '../support/nginx.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

/** Mails that a worker may be sending when it dies: one per lane. */
const lanes = 10;

/** Mails that it has claimed; an auto-reply among them is not retried. */
const mostClaimed = 3 * lanes;

/** Visitors posting at the same time, each one post after another. */
const visitors = 8;

const posts = 480;

/** Max auto-replies of one form in one hour of the clock. */
const repliesPerFormAndHour = 100;

/**
 * Two servers and two workers on one database, Redis for their limits and nginx in front, under load, while one of
 * each is killed with -9.
 */
describeWith(
  ['nginx', 'redis-server'],
  'two servers, two workers, Redis and nginx, one of each killed under load',
  () => {
    let db: TestDatabase;
    let folder: Awaited<ReturnType<typeof temporaryFolder>>;
    let redis: RedisServer;
    let mailbox: SmtpServer;
    let settings: Settings;
    let servers: RunningServer[];
    let workers: RunningServer[];
    let nginx: Nginx;
    const answers: { status: number; id?: string; receipt?: string }[] = [];

    before(async () => {
      db = await createDatabase();
      await db.liftHourlyLimits();
      folder = await temporaryFolder();
      redis = await RedisServer.start();
      mailbox = await startSmtpServer();
      settings = {
        ...{ DATABASE_URL: db.url, DATA_DIR: folder.path, REDIS_URL: redis.url, RATE_LIMIT: '100000/1m' },
        ...{ SMTP_HOST: mailbox.host, SMTP_PORT: String(mailbox.port), MAIL_FROM: 'forms@site.test' },
        ...{ NOTIFY_TO: 'owner@site.test', TRUST_PROXY: '1', PUBLIC_URL: 'https://localhost' },
      };
      servers = await Promise.all([1, 2].map(() => RunningServer.start(settings, ['serve', '--no-deliver'])));
      workers = await Promise.all([1, 2].map(() => RunningServer.startWorker(settings)));
      // All visitors of this test come from one address.
      nginx = await Nginx.before(
        servers.map((it) => it.url),
        (site) =>
          site
            .replace('rate=20r/s', 'rate=10000r/s')
            .replace('burst=40', 'burst=10000')
            .replace('limit_conn ruffinweb_connections 30', 'limit_conn ruffinweb_connections 1000'),
      );
    });
    after(async () => {
      await nginx?.[Symbol.asyncDispose]();
      for (const it of [...(servers ?? []), ...(workers ?? [])]) await it[Symbol.asyncDispose]();
      await mailbox?.[Symbol.asyncDispose]();
      await redis?.[Symbol.asyncDispose]();
      await folder?.[Symbol.asyncDispose]();
      await db?.[Symbol.asyncDispose]();
    });

    it('every visitor gets 201: nginx retries interrupted posts', async () => {
      const kills = new Map<number, () => void>([
        [posts / 4, () => process.kill(servers[0]?.pid ?? 0, 'SIGKILL')],
        [posts / 2, () => process.kill(workers[0]?.pid ?? 0, 'SIGKILL')],
        [(posts * 3) / 4, () => void redis.kill()],
      ]);
      let next = 0;
      const visit = async (visitor: number) => {
        for (let i = next++; i < posts; i = next++) {
          kills.get(i)?.();
          const body = submission({ email: `v${i % 300}@example.test`, message: `From ${visitor}, no ${i}` });
          const { status, json } = await nginx.post('/api/messages', body);
          answers.push({ status, id: json?.id, receipt: json?.receipt });
        }
      };
      await Promise.all(Array.from({ length: visitors }, (_, visitor) => visit(visitor)));
      expect(answers.map((it) => it.status).filter((it) => it !== 201)).to.deep.equal([]);
      expect(servers[1]?.log).to.include('Redis is away');
      expect((await nginx.logs()).access, 'posts were given to the other server').to.match(/ 502, 201$| -, 201$/m);
    });

    it('everything answered 201 is stored once, with its emails', async () => {
      const rows = await db.query<{ id: string; receipt: string; notifications: number }>(
        `select m.id, m.receipt, count(e.id) filter (where e.kind = 'notification')::int as notifications
       from messages m left join emails e on e.message_id = m.id group by m.id`,
      );
      const stored = new Map(rows.map((row) => [row.id, row]));
      expect(new Set(answers.map((it) => it.id)).size).to.equal(posts);
      for (const { id, receipt } of answers) expect(stored.get(id ?? '')?.receipt).to.equal(receipt);
      expect(rows, 'a post that was given to the other server is stored once').to.have.lengthOf(posts);
      for (const row of rows) expect(row.notifications).to.equal(1);
    });

    it('every mail arrives, an auto-reply never twice', async () => {
      // The surviving worker finishes what it has: leases that remain are the dead worker's.
      expect((await workers[1]?.stop('SIGTERM'))?.code).to.equal(0);
      await db.makeAllDue();
      expect((await ruffinweb(['deliver', '--once'], settings)).code).to.equal(0);
      const emails = await db.emails();
      expect(emails['notification sent']).to.equal(posts);
      const lost = emails['auto-reply failed'] ?? 0;
      const sent = emails['auto-reply sent'] ?? 0;
      expect(emails).to.have.all.keys(
        'notification sent',
        'auto-reply sent',
        ...(lost > 0 ? ['auto-reply failed'] : []),
      );
      // The clock hour may have ended meanwhile.
      const hours = (await db.query('select from reply_hours')).length;
      expect(sent + lost).to.be.within(repliesPerFormAndHour, hours * repliesPerFormAndHour);
      expect(lost).to.be.at.most(mostClaimed);

      const copies = new Map<string, number>();
      for (const { raw } of mailbox.messages) {
        const id = /^Message-ID: (.*)$/im.exec(raw)?.[1] ?? '';
        copies.set(id, (copies.get(id) ?? 0) + 1);
      }
      const twice = [...copies].filter(([, count]) => count > 1);
      expect(twice.length).to.be.at.most(lanes);
      for (const [id, count] of twice) expect(count, id).to.equal(2);
      const replies = mailbox.messages.filter((it) => it.to[0]?.startsWith('v')).map((it) => it.to[0]);
      expect(new Set(replies).size).to.equal(replies.length);
    });

    it('restarted processes take part again', async () => {
      await redis.startAgain();
      await servers[1]?.said(/Redis is back/);
      await using again = await RunningServer.start({ ...settings, PORT: new URL(servers[0]?.url ?? '').port }, [
        'serve',
        '--no-deliver',
      ]);
      await servers[1]?.stop('SIGKILL');
      // If nginx considers both down, it tries one again after five seconds.
      const body = submission({ message: 'To the one that came back' });
      await until('it takes posts', async () => (await nginx.post('/api/messages', body)).status === 201);
      await again.said(/"status":201/);
    });
  },
);
