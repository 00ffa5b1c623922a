import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { type Acknowledged, PostLoad } from '../support/post-load.ts';
import {
  type Finished,
  RunningServer,
  ruffinweb,
  type Settings,
  temporaryFolder,
  testKeys,
} from '../support/program.ts';
import { Receiver } from '../support/receiver.ts';
import { earlierReleases, type UnpackedRelease, unpackRelease } from '../support/releases.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

/**
 * A database that every release so far has used, upgraded to today's release and back by one, while visitors keep
 * posting. The tests depend on each other, like the days of one installation.
 */
describe('upgrading under load', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let settings: Settings;
  /** The release before this one. */
  let old: UnpackedRelease;
  let oldKey: string;
  /** The servers in use at the end of one test are those of the next. */
  let oldServer: RunningServer;
  let newServer: RunningServer;
  let oldMigrations: string[];
  const opened = new AsyncDisposableStack();
  /** Every message that a visitor was told is stored. */
  const acknowledged: Acknowledged[] = [];

  const byOld = (...args: string[]) => ruffinweb(args, settings, '', old.program);
  const byNew = (...args: string[]) => ruffinweb(args, settings);
  const startOld = () => RunningServer.start(settings, ['serve'], old.program);

  before(async () => {
    db = opened.use(await createDatabase({ empty: true }));
    smtp = opened.use(await startSmtpServer());
    folder = opened.use(await temporaryFolder());
    settings = {
      DATABASE_URL: db.url,
      DATA_DIR: folder.path,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'Site <site@site.test>',
      NOTIFY_TO: 'owner@site.test',
      HOOK_ALLOW_HOSTS: '127.0.0.1',
    };
    for (const release of earlierReleases) {
      old = opened.use(await unpackRelease(release));
      succeeded(await byOld('migrate', 'up'));
      await using server = await startOld();
      await post(server, '/api/messages', { message: `Written by ${release.version}` });
      expect((await server.stop()).code).to.equal(0);
    }
    succeeded(await byOld('forms', 'add', 'shop', '--to', 'shop@site.test'));
    await db.liftHourlyLimits();
    oldKey = printed(await byOld('keys', 'create', '--name', 'old', '--scope', 'read', 'write', '--json')).key;
    oldMigrations = await applied();
    oldServer = opened.use(await startOld());
  });
  after(async () => {
    await opened.disposeAsync();
  });

  it('migrate up during a backup and replacing the old server fail no post', async () => {
    await using load = new PostLoad([oldServer.url]);
    await load.goesOn();
    // A backup is running: a table change has to wait for it, and must not make visitors wait.
    const backup = await db.lockTable(await allTables(), 'access share');
    const migrating = byNew('migrate', 'up', '--json');
    await load.goesOn(300).finally(() => backup.release());
    const up = await migrating;
    console.log(`    ${printed(up).applied.length} migrations; said: ${up.stderr.trim() || 'nothing'}`);
    await load.goesOn();
    newServer = opened.use(await RunningServer.start(settings));
    load.sendTo(oldServer.url, newServer.url);
    await load.goesOn(120);
    load.sendTo(newServer.url);
    expect((await oldServer.stop()).code).to.equal(0);
    await load.goesOn();
    await end(load);
  });

  it("both releases read each other's messages and accept each other's keys", async () => {
    const { receipt } = await post(newServer, '/api/forms/shop/messages', { _gotcha: 'x' });
    await expectReadableByBoth();
    for (const run of [byOld, byNew]) {
      expect(printed(await run('messages', 'show', receipt, '--json'))).to.include({ status: 'held', form: 'shop' });
      const form = printed(await run('forms', 'show', 'shop', '--json'));
      expect(form).to.deep.include({ recipients: ['shop@site.test'] });
    }
    const newKey: string = printed(await byNew('keys', 'create', '--name', 'new', '--scope', 'read', '--json')).key;
    await using back = await startOld();
    // At its start the server sends a summary of held messages. Wait: today's release cancels it once none is held.
    await until('the summary is sent', async () => (await summaryStates()).join() === 'sent');
    for (const server of [newServer, back]) {
      for (const key of [oldKey, newKey]) {
        const listed = await clientOf(server.url).get('/api/messages?limit=1', { Authorization: `Bearer ${key}` });
        expect([listed.status, listed.json.items.length]).to.deep.equal([200, 1]);
      }
    }
    const released = await clientOf(back.url).post(
      `/api/messages/${receipt}/release`,
      {},
      { Authorization: `Bearer ${oldKey}` },
    );
    expect(released.json).to.include({ status: 'accepted' });
    expect((await back.stop()).code).to.equal(0);
  });

  it('going back one release on the new schema fails no post', async () => {
    await using load = new PostLoad([newServer.url]);
    await load.goesOn();
    oldServer = opened.use(await startOld());
    load.sendTo(newServer.url, oldServer.url);
    await load.goesOn(120);
    load.sendTo(oldServer.url);
    expect((await newServer.stop()).code).to.equal(0);
    await load.goesOn();
    await end(load);
    await expectReadableByBoth();
  });

  it('reverting the schema, too, fails no post and loses no message', async () => {
    await using load = new PostLoad([oldServer.url]);
    await load.goesOn();
    while ((await applied()).length > oldMigrations.length) succeeded(await byNew('migrate', 'down', '--yes'));
    expect(await applied()).to.deep.equal(oldMigrations);
    await load.goesOn();
    await end(load);
    expectAll(await byOld(...exporting));
  });

  it('after upgrading again everything is there, and each mail was sent once', async () => {
    succeeded(await byNew('migrate', 'up'));
    newServer = opened.use(await RunningServer.start(settings));
    await post(newServer, '/api/messages', { message: 'After all that' });
    await expectReadableByBoth();

    await until('all mail is delivered', async () => !(await emailStates()).includes('queued'), 60_000);
    expect(await emailStates()).to.deep.equal(['sent']);
    const rows = await db.query<{ message_id: string; count: number }>(
      `select message_id, count(*)::int from emails where kind = 'notification' group by 1`,
    );
    expect(rows).to.have.lengthOf(acknowledged.length);
    expect(rows.every((row) => row.count === 1)).to.equal(true);
    const ids = smtp.messages.map((it) => /^Message-ID: (.+)$/im.exec(it.raw)?.[1]);
    expect(ids).to.have.lengthOf(await db.count('emails'));
    expect(new Set(ids).size, 'each Message-ID once').to.equal(ids.length);
    console.log(`    ${acknowledged.length} messages, ${ids.length} mails`);
  });

  it('the old release works beside hooks, and deletes what they wait to be told about', async () => {
    await using receiver = await Receiver.open();
    succeeded(await byNew('hooks', 'add', receiver.url, '--name', 'crm', '--allow-http'));
    succeeded(await byNew('hooks', 'pause', 'crm'));
    const bodyOf = (email: string) => submission({ email, message: `Written by ${email}` });
    const deliveries = async () =>
      await db.query<{ id: string; receipt: string }>(
        'select messages.id, receipt from hook_deliveries join messages on messages.id = message_id',
      );
    const emailed = async () =>
      await until('mail is sent', async () => !(await emailStates()).some((it) => it !== 'sent'), 60_000);
    const removals: [string, (receipt: string, email: string) => string[]][] = [
      ['deleted@example.test', (receipt) => ['messages', 'delete', receipt, '--yes']],
      ['erased@example.test', (_, email) => ['senders', 'erase', '--email', email, '--yes']],
      ['purged@example.test', () => ['purge']],
    ];
    for (const [email, removal] of removals) {
      const sent = await clientOf(newServer.url).post('/api/messages', bodyOf(email));
      expect(sent.status, sent.text).to.equal(201);
      await emailed();
      for (const act of ['hold', 'release']) succeeded(await byOld('messages', act, sent.json.receipt));
      const [row] = await deliveries();
      expect(row?.receipt).to.equal(sent.json.receipt);
      if (removal('', '').includes('purge')) {
        const older = await db.age(row?.id ?? '', 8);
        await db.query('update hook_deliveries set message_id = $1', [older]);
      }
      const args = removal(sent.json.receipt, email);
      succeeded(await ruffinweb(args, { ...settings, RETENTION_DAYS: '7' }, '', old.program));
      expect(await deliveries(), args.join(' ')).to.deep.equal([]);
    }
    // The old server tells no hook, and its worker leaves their deliveries alone.
    await post(oldServer, '/api/messages', { message: 'Not told' });
    await post(newServer, '/api/messages', { message: 'Told' });
    succeeded(await byOld('deliver', '--once'));
    expect(await deliveries()).to.have.lengthOf(1);
    succeeded(await byNew('hooks', 'resume', 'crm'));
    const told = await receiver.received(2);
    expect(told.map((it) => JSON.parse(it.body).type)).to.deep.equal(['test', 'message.accepted']);
    succeeded(await byNew('hooks', 'remove', 'crm', '--yes'));
  });

  it('the old release decrypts what the new one encrypted with a new key', async () => {
    for (const server of [oldServer, newServer]) expect((await server.stop()).code).to.equal(0);
    const newKey = `k2:${Buffer.alloc(32, 2).toString('base64')}`;
    const both = { ...settings, ENCRYPTION_KEYS: `${newKey},${testKeys}` };
    succeeded(await ruffinweb(['encryption', 'rotate', '--yes'], both));
    for (const program of [old.program, undefined]) expectAll(await ruffinweb(exporting, both, '', program));
    await using back = await RunningServer.start(both, ['serve'], old.program);
    await post(back, '/api/messages', { message: 'Sealed by the old one with the new key' });
    expect((await back.stop()).code).to.equal(0);
    // The old release started to use the old key again.
    succeeded(await ruffinweb(['encryption', 'rotate', '--yes'], both));
    expectAll(await ruffinweb(exporting, { ...settings, ENCRYPTION_KEYS: newKey }));
  });

  async function end(load: PostLoad): Promise<void> {
    await load.stop();
    expect(load.failures.length, load.failures[0]).to.equal(0);
    acknowledged.push(...load.acknowledged);
  }

  async function post(server: RunningServer, path: string, changes: Record<string, unknown>): Promise<Acknowledged> {
    const body = submission(changes);
    const answer = await clientOf(server.url).post(path, body);
    expect(answer.status).to.equal(201);
    const kept = { receipt: answer.json.receipt, email: String(body.email), message: String(body.message) };
    acknowledged.push(kept);
    return kept;
  }

  async function expectReadableByBoth(): Promise<void> {
    for (const run of [byOld, byNew]) expectAll(await run(...exporting));
  }

  /** Everything acknowledged is stored unchanged, and nothing else is. */
  function expectAll(run: Finished): void {
    succeeded(run);
    const lines = run.stdout.trimEnd().split('\n');
    const found = lines.map((line) => summaryOf(JSON.parse(line) as Acknowledged));
    expect(found.toSorted()).to.deep.equal(acknowledged.map(summaryOf).toSorted());
  }

  async function applied(): Promise<string[]> {
    const rows = await db.query<{ name: string }>('select name from schema_migrations order by id');
    return rows.map((row) => row.name);
  }

  async function allTables(): Promise<string> {
    const rows = await db.query<{ name: string }>(
      `select tablename as name from pg_tables where schemaname = 'public'`,
    );
    return rows.map((row) => row.name).join(', ');
  }

  async function summaryStates(): Promise<string[]> {
    const rows = await db.query<{ state: string }>(`select state from emails where kind = 'held-summary'`);
    return rows.map((row) => row.state);
  }

  async function emailStates(): Promise<string[]> {
    const rows = await db.query<{ state: string }>('select distinct state from emails');
    return rows.map((row) => row.state);
  }
});

const exporting = ['messages', 'export', '--format', 'jsonl'];

function summaryOf({ receipt, email, message }: Acknowledged): string {
  return `${receipt} ${email} ${message}`;
}

function succeeded(run: Finished): void {
  expect(run.code, `${run.stderr}${run.stdout}`).to.equal(0);
}

// Untyped: each test checks the parts it needs.
// biome-ignore lint/suspicious/noExplicitAny: commands print many shapes
function printed(run: Finished): any {
  succeeded(run);
  return JSON.parse(run.stdout);
}
