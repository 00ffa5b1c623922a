import { expect } from 'chai';
import pg from 'pg';
import { clientOf, submission } from '../support/api.ts';
import { MachinePostgres } from '../support/machine-postgres.ts';
import { describeWith } from '../support/machine-programs.ts';
import { PostLoad } from '../support/post-load.ts';
import { RunningServer, ruffinweb, type Settings } from '../support/program.ts';
import { SmallDiskPostgres } from '../support/small-disk-postgres.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

/** What the settings of both tests share. */
function settingsFor(url: string, smtp: SmtpServer): Settings {
  return {
    DATABASE_URL: url,
    SMTP_HOST: smtp.host,
    SMTP_PORT: String(smtp.port),
    MAIL_FROM: 'site@site.test',
    NOTIFY_TO: 'owner@site.test',
    AUTO_REPLY: 'off',
  };
}

const notifyOfEach = 'update forms set notify_limit = 0';

async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Every acknowledged post is stored once and mailed, and nothing else is stored twice. */
async function expectNothingLost(url: string, load: PostLoad, smtp: SmtpServer): Promise<void> {
  const rows = await query<{ receipt: string; notifications: number }>(
    url,
    `select receipt, count(emails.id)::int as notifications
     from messages left join emails on message_id = messages.id group by messages.id`,
  );
  const stored = new Map(rows.map((row) => [row.receipt, row.notifications]));
  expect(load.acknowledged.filter((it) => !stored.has(it.receipt))).to.deep.equal([]);
  expect(rows.filter((it) => it.notifications !== 1)).to.deep.equal([]);
  // A visitor without an answer does not post again here, so each message has another sender.
  const [senders] = await query<{ count: number }>(url, 'select count(*)::int from senders');
  expect(rows.length).to.equal(senders?.count);
  await until(
    'all mail is sent',
    async () => {
      // Postponed mail is due now. A lease ends by itself.
      await query(url, `update emails set due_at = now() where state = 'queued' and lease_token is null`);
      return (await query(url, `select from emails where state <> 'sent'`)).length === 0;
    },
    100_000,
  );
  const sent = new Set(smtp.messages.map((it) => /^Message-ID: (.*)$/im.exec(it.raw)?.[1]?.trim()));
  const ids = await query<{ id: string }>(url, 'select internet_message_id as id from emails');
  expect(ids.filter((it) => !sent.has(it.id))).to.deep.equal([]);
}

describeWith(['pg_ctl'], 'a PostgreSQL under load', () => {
  it('may be restarted, and may crash: nothing acknowledged is lost', async () => {
    await using postgres = await MachinePostgres.open();
    await using smtp = await startSmtpServer();
    const url = postgres.urlOf('postgres');
    await using server = await RunningServer.start(settingsFor(url, smtp), ['serve', '--migrate']);
    await query(url, notifyOfEach);
    await using load = new PostLoad([server.url]);
    const more = (count: number) => {
      const goal = load.acknowledged.length + count;
      return until('posts are stored', () => load.acknowledged.length >= goal);
    };
    await more(30);
    for (const mode of ['fast', 'immediate', 'fast'] as const) {
      await postgres.restart(mode);
      await more(30);
    }
    await load.stop();
    expect(load.failures.filter((it) => !it.includes('database-away'))).to.deep.equal([]);
    await expectNothingLost(url, load, smtp);
  });

  it('may have a full disk: posts get 503, and /readyz and health say so', async () => {
    await using postgres = await SmallDiskPostgres.start();
    await using smtp = await startSmtpServer();
    const settings = settingsFor(postgres.url, smtp);
    await using server = await RunningServer.start(settings, ['serve', '--migrate']);
    const http = clientOf(server.url);
    const database = async () => {
      const { status, json } = await http.get('/readyz');
      return [status, json.checks.database];
    };
    const writes = async () => {
      const { code, stdout } = await ruffinweb(['health', '--json'], settings);
      return [code, JSON.parse(stdout).checks.find((it: { name: string }) => it.name === 'writes').status];
    };
    await query(postgres.url, notifyOfEach);
    await using load = new PostLoad([server.url]);
    await until('posts are stored', () => load.acknowledged.length > 30);
    expect(await writes()).to.deep.equal([0, 'ok']);

    await postgres.fill();
    await until('posts are refused', () => load.failures.length > 30);
    // A post that needs no new page may still be stored now and then.
    await until('it says so', async () => (await database()).join() === '503,takes-no-writes');
    expect(await writes()).to.deep.equal([4, 'fail']);
    await load.stop();
    expect(load.failures.filter((it) => !it.includes('503') || !it.includes('database-away'))).to.deep.equal([]);

    await postgres.makeRoom();
    await until('it is ready again without a post', async () => (await database())[0] === 200);
    expect((await http.post('/api/messages', submission())).status).to.equal(201);
    expect(await writes()).to.deep.equal([0, 'ok']);
    await expectNothingLost(postgres.url, load, smtp);
  });
});
