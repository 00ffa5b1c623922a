import { expect } from 'chai';
import { runHere } from '../cli/terminal.ts';
import { type Client, clientOf, submission } from '../support/api.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { buildDelivery } from '../support/build-delivery.ts';
import { openTestContext } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi, type ServerHere, startServerHere } from '../support/server-here.ts';
import { until } from '../support/until.ts';

const token = 'a-token-for-the-tests';

describe('/metrics', () => {
  let api: Api;
  let db: TestDatabase;
  let server: ServerHere;
  let http: Client;

  before(async () => {
    api = await openApi({ METRICS_TOKEN: token });
    ({ db, server, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  const scrape = async (): Promise<Map<string, number>> => {
    const answer = await http.get('/metrics', { Authorization: `Bearer ${token}` });
    expect(answer.status).to.equal(200);
    expect(answer.headers.get('content-type')).to.match(/^text\/plain; version=/);
    return new Map(
      answer.text
        .split('\n')
        .filter((it) => it.startsWith('ruffinweb_'))
        .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    );
  };

  it('requires its token, and does not exist if no token is set', async () => {
    for (const wrong of [
      undefined,
      'Bearer',
      `Bearer ${token}x`,
      `Bearer ${token.slice(1)}`,
      token,
      `Basic ${token}`,
    ]) {
      const refused = await http.get('/metrics', wrong === undefined ? {} : { Authorization: wrong });
      expect(refused.status, wrong).to.equal(401);
      expect(refused.headers.get('www-authenticate')).to.equal('Bearer');
      expect(refused.text).to.not.include('ruffinweb_emails');
    }
    await using without = await startServerHere({ DATABASE_URL: db.url });
    expect((await clientOf(without.url).get('/metrics', { Authorization: 'Bearer ' })).status).to.equal(404);
    expect(server.log).to.not.include(token);
    const warned = server.log.split('\n').filter((line) => line.includes('wrong metrics token'));
    expect(warned).to.have.lengthOf(5);
    for (const line of warned) expect(JSON.parse(line)).to.include({ level: 'warn', client: '127.0.0.1' });
  });

  it('counts posts by result', async () => {
    const before = await scrape();
    await http.post('/api/messages', submission());
    await http.post('/api/messages', submission({ _gotcha: 'held', message: 'Another' }));
    await http.post('/api/messages', { email: 'x' });
    await http.post('/api/messages', '{');
    await http.post('/nowhere', {});
    const after = await scrape();
    const grown = [...after]
      .filter(([name]) => name.startsWith('ruffinweb_posts_total'))
      .map(([name, value]) => [/"(.*)"/.exec(name)?.[1], value - (before.get(name) ?? 0)]);
    expect(Object.fromEntries(grown)).to.deep.equal({ stored: 2, 'fields-invalid': 1, 'body-unreadable': 1 });
    expect(after.get('ruffinweb_held_messages')).to.equal(1);
  });

  it('reports mail by state and kind, delay, attempt results and workers', async () => {
    await using context = await openTestContext(db);
    await scrape();
    await buildMessages(context, 4, (i) => (i === 3 ? { _gotcha: 'x' } : {}));
    await db.query(`update messages set received_at = now() - interval '2 days' where status = 'held'`);
    let turn = 0;
    await settleDue(context, (email) => {
      if (email.kind === 'auto-reply') return mailOutcomes.unknown;
      return [mailOutcomes.accepted, mailOutcomes.refused, mailOutcomes.later][turn++ % 3] ?? mailOutcomes.later;
    });
    await db.query(`update emails set due_at = now() - interval '20 minutes' where state = 'queued'`);
    await db.query(`update emails set created_at = now() - interval '3 hours' where state = 'queued'`);
    await db.query(`update attempts set started_at = finished_at - interval '400 milliseconds'`);

    await buildDelivery(db, context, { outcome: 'later', code: 500 });
    await buildDelivery(db, context, { state: 'failed', outcome: 'refused', code: 410 });
    await db.query(`update hook_deliveries set created_at = now() - interval '1 hour'`);

    const seen = await until(
      'the tries are counted',
      async () => {
        const numbers = await scrape();
        return numbers.get('ruffinweb_tries_total{result="unknown"}') === 3 && numbers;
      },
      20_000,
    );
    const emails = (kind: string, state: string) => seen.get(`ruffinweb_emails{kind="${kind}",state="${state}"}`);
    expect(emails('notification', 'sent'), 'the rate of tries tells this').to.equal(undefined);
    expect(emails('notification', 'failed')).to.equal(1);
    expect(emails('notification', 'queued')).to.equal(1);
    expect(emails('notification', 'held')).to.equal(1);
    expect(emails('auto-reply', 'failed')).to.equal(3);
    expect(emails('held-summary', 'queued'), 'none is told as none').to.equal(0);
    expect(seen.get('ruffinweb_oldest_due_email_seconds')).to.be.within(1200, 1300);
    expect(seen.get('ruffinweb_oldest_queued_email_seconds')).to.be.within(10_800, 10_900);
    const ready = await http.get('/readyz');
    expect(ready.status, 'posts can be stored').to.equal(200);
    expect(ready.json.checks.oldestQueuedSeconds).to.be.within(10_800, 10_900);
    expect(seen.get('ruffinweb_oldest_held_message_seconds')).to.be.greaterThan(172_000);
    const tries = ['accepted', 'refused', 'later', 'unknown', 'broken', 'away'].map((it) =>
      seen.get(`ruffinweb_tries_total{result="${it}"}`),
    );
    expect(tries).to.deep.equal([1, 1, 1, 3, 0, 0]);
    for (const [state, count] of Object.entries({ queued: 1, failed: 1, cancelled: undefined, sent: undefined }))
      expect(seen.get(`ruffinweb_hook_deliveries{state="${state}"}`), state).to.equal(count);
    expect(seen.get('ruffinweb_oldest_queued_hook_delivery_seconds')).to.be.within(3600, 3700);
    expect(seen.get('ruffinweb_send_seconds_bucket{le="0.25"}')).to.equal(0);
    expect(seen.get('ruffinweb_send_seconds_bucket{le="0.5"}')).to.equal(1);

    const again = await Promise.all([scrape(), scrape(), scrape()]);
    for (const it of again) expect(it.get('ruffinweb_tries_total{result="unknown"}'), 'counted once').to.equal(3);
    await runHere(['emails', 'pause'], db);
    expect((await scrape()).get('ruffinweb_queue_paused{cause="hand"}')).to.equal(1);
    expect((await scrape()).get('ruffinweb_queue_paused{cause="broken"}')).to.equal(0);
    await db.query(`update mail_queue set cause = 'broken', is_away = true`);
    expect((await scrape()).get('ruffinweb_queue_paused{cause="away"}')).to.equal(1);
    expect((await scrape()).get('ruffinweb_queue_paused{cause="broken"}')).to.equal(0);
  });

  it('counts an attempt recorded in the last seconds once, at a later scrape', async () => {
    await using context = await openTestContext(db);
    const accepted = async () => (await scrape()).get('ruffinweb_tries_total{result="accepted"}') ?? 0;
    const before = await accepted();
    await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.accepted);
    await until('both are counted', async () => (await accepted()) === before + 2, 20_000);
    expect(await accepted()).to.equal(before + 2);
  });

  it('has no label that a visitor can fill', async () => {
    await http.post(
      '/api/messages',
      submission({ name: 'Quincunx', email: 'quincunx@example.test', subject: 'Quincunx' }),
    );
    await http.post('/f/quincunx', { quincunx: 'x' });
    await http.get('/quincunx?quincunx');
    await http.send('/api/messages', { method: 'QUINCUNX' });
    const names = [...(await scrape()).keys()].join('\n');
    expect(names).to.not.match(/quincunx/i);
  });
});
