import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase } from '../support/database.ts';
import { startServerHere } from '../support/server-here.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { type Loss, TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/** Cases at the same time: most of them wait for a time-out. */
const together = 6;

/** A visitor posts until the post is acknowledged, and the server delivers its mail, while one answer of the database is lost. */
async function postAndDeliver(loss?: { nth: number; how: Loss }): Promise<{ answers: number; isLost: boolean }> {
  await using db = await createDatabase();
  await using proxy = await TcpProxy.before(db.url);
  await using smtp = await startSmtpServer();
  const settings = {
    DATABASE_URL: proxy.urlOf(db.url),
    SMTP_HOST: smtp.host,
    SMTP_PORT: String(smtp.port),
    MAIL_FROM: 'site@site.test',
    NOTIFY_TO: 'owner@site.test',
    AUTO_REPLY: 'on',
  };
  await using server = await startServerHere(settings, { deliver: true });
  const http = clientOf(server.url);
  await db.maintenanceDone();
  await until('it listens for new mail', async () => {
    const listeners = await db.query(
      `select from pg_stat_activity where datname = $1 and application_name like 'ruffinweb listener%'`,
      [db.name],
    );
    return listeners.length > 0;
  });
  const name = loss === undefined ? 'no answer lost' : `answer ${loss.nth} lost (${loss.how})`;
  const before = proxy.answers;
  if (loss !== undefined) proxy.loseAnswer(loss.nth, loss.how);

  const receipt = await until(`the post is acknowledged: ${name}`, async () => {
    const { status, json } = await http.post('/api/messages', submission());
    if (status !== 201) expect([status, json.code], name).to.deep.equal([503, 'database-away']);
    return status === 201 && (json.receipt as string);
  });
  await until(
    `the mail leaves: ${name}`,
    async () => (await db.query(`select from emails where state = 'queued'`)).length === 0,
    60_000,
  );

  const messages = await db.query<{ receipt: string }>('select receipt from messages');
  expect(messages, `stored once: ${name}`).to.deep.equal([{ receipt }]);
  const emails = await db.emails();
  expect(
    Object.values(emails).reduce((sum, it) => sum + it, 0),
    name,
  ).to.equal(2);
  expect(emails['notification sent'], name).to.equal(1);
  const sentTo = (address: string) => smtp.messages.filter((it) => it.to[0] === address).map((it) => it.raw);
  expect(new Set(sentTo('owner@site.test')).size, `one notification: ${name}`).to.equal(1);
  expect(sentTo('ada@example.test').length, `auto-replies: ${name}`).to.be.at.most(1);
  return { answers: proxy.answers - before, isLost: proxy.hasLostAnswer };
}

describe('an answer of the database that is lost', () => {
  for (const how of ['cut', 'drop'] as const) {
    it(`loses and repeats nothing, at any statement (${how})`, async () => {
      const { answers } = await postAndDeliver();
      // A run may have one or two more: polling, or a claim that finds nothing.
      const cases = Array.from({ length: answers + 2 }, (_, index) => index + 1);
      let lost = 0;
      const next = async () => {
        for (let nth = cases.shift(); nth !== undefined; nth = cases.shift()) {
          if ((await postAndDeliver({ nth, how })).isLost) lost += 1;
        }
      };
      await Promise.all(Array.from({ length: together }, next));
      // A post, a claim, a check, and a settlement at least.
      expect(lost).to.be.above(3);
    });
  }
});
