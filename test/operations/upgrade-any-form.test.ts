import { expect } from 'chai';
import { storeMessages } from '../../src/services/intake/store-messages.ts';
import type { Stored } from '../../src/services/intake/verdict.ts';
import { openScope } from '../../src/services/scope.ts';
import { clientOf, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { type Finished, RunningServer, ruffinweb, type Settings } from '../support/program.ts';
import { earlierReleases, type UnpackedRelease, unpackRelease } from '../support/releases.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

/** The tests depend on each other, like the days of one installation. */
describe('the release before, beside messages without a sender and a text', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let old: UnpackedRelease;
  let settings: Settings;
  const opened = new AsyncDisposableStack();
  const anonymous: Stored[] = [];

  const byOld = (...args: string[]) => ruffinweb(args, settings, '', old.program);
  const byNew = (...args: string[]) => ruffinweb(args, settings);
  const runs = () => [byOld, byNew];

  before(async () => {
    db = opened.use(await createDatabase({ empty: true }));
    smtp = opened.use(await startSmtpServer());
    old = opened.use(await unpackRelease(earlierReleases.at(-1) as (typeof earlierReleases)[0]));
    settings = {
      DATABASE_URL: db.url,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'Site <site@site.test>',
      NOTIFY_TO: 'owner@site.test',
    };
    succeeded(await byOld('migrate', 'up'));
    succeeded(await byNew('migrate', 'up'));
    const rules = ['--limit', '2', '--closes', '2026-01-01', '--route', 'topic=sales -> sales@site.test'];
    succeeded(await byNew('forms', 'add', 'rsvp', '--fields', 'any', ...rules, '--json'));
    await store('accepted', [['seats', '2']]);
    await store('held', [['seats', '99']]);
  });
  after(async () => {
    await opened.disposeAsync();
  });

  /** What the server stores for a post without `email` and `message`. */
  async function store(status: 'accepted' | 'held', extra: [string, string][]): Promise<void> {
    await using context = await openTestContext(db, settings);
    const [form] = await db.query<{ id: string; version: string }>(
      `select id, xmin::text as version from forms where slug = 'rsvp'`,
    );
    const [result] = await storeMessages(openScope(context), [
      {
        formId: form?.id ?? '',
        formVersion: form?.version ?? '',
        content: { text: '', extra },
        otherAddresses: [],
        clientAddress: '203.0.113.7',
        status,
        reasons: status === 'held' ? ['honeypot'] : [],
        notify: ['sales@site.test'],
        idempotencyKey: undefined,
        captchaUse: undefined,
        notifyLimit: 0,
        noReply: 'no-address',
      },
    ]);
    if (result === undefined || 'refused' in result) throw new Error('the message was not stored');
    anonymous.push(result.stored);
  }

  const post = async (server: RunningServer, changes: Record<string, unknown>) =>
    await clientOf(server.url).post('/api/forms/rsvp/messages', submission(changes));

  /** Both releases list, show and export everything. */
  async function expectReadable(count: number): Promise<void> {
    for (const run of runs()) {
      expect(printed(await run('messages', 'list', '--json')).items).to.have.lengthOf(count);
      for (const { receipt } of anonymous) {
        expect(printed(await run('messages', 'show', receipt, '--json'))).to.deep.include({
          message: '',
          senderId: null,
        });
      }
      const exported = await run('messages', 'export', '--format', 'jsonl');
      succeeded(exported);
      expect(exported.stdout.trimEnd().split('\n')).to.have.lengthOf(count);
      for (const args of [['senders', 'list'], ['stats'], ['emails', 'list'], ['purge']]) succeeded(await run(...args));
    }
  }

  it('lists, shows, holds and releases them, and posts as ever', async () => {
    await using server = await RunningServer.start(settings, ['serve', '--no-deliver'], old.program);
    // It knows neither limits nor times to close.
    for (const n of [1, 2]) expect((await post(server, { message: `Old ${n}` })).status).to.equal(201);
    const key = printed(await byOld('keys', 'create', '--name', 'x', '--scope', 'read', '--json')).key;
    const listed = await clientOf(server.url).get('/api/messages', { Authorization: `Bearer ${key}` });
    expect([listed.status, listed.json.items.length]).to.deep.equal([200, 4]);
    expect((await server.stop()).code).to.equal(0);
    for (const act of ['hold', 'release']) succeeded(await byOld('messages', act, anonymous[0]?.receipt ?? ''));
    await expectReadable(4);
  });

  it('sends their notifications and their summary', async () => {
    await using server = await RunningServer.start(settings, ['serve'], old.program);
    await until('all mail is sent', async () => {
      const states = await db.query<{ kind: string; state: string }>('select kind, state from emails');
      return states.some((it) => it.kind === 'held-summary') && states.every((it) => it.state !== 'queued');
    });
    expect((await server.stop()).code).to.equal(0);
    const to = smtp.messages.map((it) => it.to[0]);
    expect(to.filter((it) => it === 'sales@site.test')).to.have.lengthOf(1);
    expect(await db.query(`select from emails where state = 'failed'`)).to.deep.equal([]);
  });

  it('runs on its own schema again with them, and this release after it', async () => {
    succeeded(await byNew('migrate', 'down', '--yes'));
    await using server = await RunningServer.start(settings, ['serve'], old.program);
    expect((await post(server, { message: 'After going back' })).status).to.equal(201);
    await until(
      'its mail is sent',
      async () => (await db.query(`select from emails where state = 'queued'`)).length === 0,
    );
    expect((await server.stop()).code).to.equal(0);
    expect(printed(await byOld('messages', 'list', '--json')).items).to.have.lengthOf(5);
    for (const { receipt } of anonymous) succeeded(await byOld('messages', 'show', receipt));

    succeeded(await byNew('migrate', 'up'));
    await expectReadable(5);
    // The settings are gone, and the messages are not.
    const form = printed(await byNew('forms', 'show', 'rsvp', '--json'));
    expect(form).to.include({ state: 'open', fields: null, routes: null, closesAt: null, messageLimit: null });
    await store('accepted', [['seats', '3']]);
    await expectReadable(6);
  });

  it('gets its rule back that messages have senders once there is no such message', async () => {
    const isNullable = async () => {
      const [column] = await db.query<{ is_nullable: string }>(
        `select is_nullable from information_schema.columns where table_name = 'messages' and column_name = 'sender_id'`,
      );
      return column?.is_nullable;
    };
    succeeded(await byNew('migrate', 'down', '--yes'));
    expect(await isNullable()).to.equal('YES');
    succeeded(await byNew('migrate', 'up'));
    for (const { receipt } of anonymous) succeeded(await byNew('messages', 'delete', receipt, '--yes'));
    succeeded(await byNew('migrate', 'down', '--yes'));
    expect(await isNullable()).to.equal('NO');
    succeeded(await byNew('migrate', 'up'));
    expect(await isNullable()).to.equal('YES');
  });
});

function succeeded(run: Finished): void {
  expect(run.code, `${run.stderr}${run.stdout}`).to.equal(0);
}

// Untyped: each test checks the parts it needs.
// biome-ignore lint/suspicious/noExplicitAny: commands print many shapes
function printed(run: Finished): any {
  succeeded(run);
  return JSON.parse(run.stdout);
}
