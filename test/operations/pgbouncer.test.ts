import { chmod, readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { type Answer, clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { describeWith, freePort, MachineProcess, programFolder } from '../support/machine-programs.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

describeWith(['pgbouncer'], 'through PgBouncer in transaction mode with deploy/pgbouncer', () => {
  let db: TestDatabase;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let mailbox: SmtpServer;
  let bouncer: Awaited<ReturnType<typeof startPgBouncer>>;
  let settings: Settings;
  let servers: RunningServer[];

  before(async () => {
    db = await createDatabase();
    await db.liftHourlyLimits();
    folder = await temporaryFolder();
    mailbox = await startSmtpServer();
    bouncer = await startPgBouncer(db.url);
    settings = {
      ...{ DATABASE_URL: bouncer.url, DATA_DIR: folder.path, NOTIFY_TO: 'owner@site.test' },
      ...{ SMTP_HOST: mailbox.host, SMTP_PORT: String(mailbox.port), MAIL_FROM: 'forms@site.test' },
    };
    servers = await Promise.all([
      RunningServer.start(settings),
      RunningServer.start(settings, ['serve', '--no-deliver']),
    ]);
  });
  after(async () => {
    for (const server of servers ?? []) await server[Symbol.asyncDispose]();
    await bouncer?.[Symbol.asyncDispose]();
    await mailbox?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
    await db?.[Symbol.asyncDispose]();
  });

  it('two servers store 200 posts at once and send each mail once', async () => {
    const answers: Answer[] = [];
    for (let round = 0; round < 10; round++) {
      const posts = Array.from({ length: 20 }, (_, i) =>
        clientOf(servers[i % 2]?.url ?? '').post(
          '/api/messages',
          submission({ email: `p${round}-${i}@example.test`, message: `No ${round} ${i}` }),
        ),
      );
      answers.push(...(await Promise.all(posts)));
    }
    expect(countBy(answers.map((it) => it.status))).to.deep.equal({ 201: 200 });
    expect(await db.count('messages')).to.equal(200);
    // The limit is a hundred per clock hour, which may end meanwhile.
    const replies = (await db.query(`select from emails where kind = 'auto-reply'`)).length;
    const [{ hours } = { hours: 0 }] = await db.query<{ hours: number }>(
      'select count(*)::int as hours from reply_hours',
    );
    expect(replies).to.be.within(100, hours * 100);
    await mailbox.received(200 + replies, 60_000);
    await until('all mail is settled', async () => {
      const emails = await db.emails();
      return emails['notification sent'] === 200 && emails['auto-reply sent'] === replies;
    });
    const ids = mailbox.messages.map((it) => /^Message-ID: (.*)$/im.exec(it.raw)?.[1]);
    expect(new Set(ids).size).to.equal(ids.length);
    for (const server of servers) expect(server.log).to.not.include('"level":"error"');
  });

  it('repeated posts at the same time are stored once', async () => {
    const body = submission({ message: 'The same from both' });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => clientOf(servers[i % 2]?.url ?? '').post('/api/messages', body)),
    );
    expect(new Set(answers.map((it) => `${it.status} ${it.json.receipt}`)).size).to.equal(1);
  });

  it('a statement waiting for a lock times out, and later ones work', async () => {
    const lock = await db.lockTable('senders');
    const waiting = clientOf(servers[0]?.url ?? '').post('/api/messages', submission({ message: 'Too slow' }));
    expect((await waiting).status).to.equal(503);
    await lock.release();
    const again = await clientOf(servers[0]?.url ?? '').post('/api/messages', submission({ message: 'Too slow' }));
    expect(again.status).to.equal(201);
  });

  it('the number of database connections stays small', async () => {
    const [row] = await db.query<{ count: number }>(
      `select count(*)::int from pg_stat_activity where datname = $1 and application_name like 'ruffinweb%'`,
      [db.name],
    );
    expect(row?.count).to.be.within(1, 20);
  });

  it('a backup is made, but only the server itself verifies it', async () => {
    await using folder = await programFolder('backup');
    const dir = `${folder.path}/backup`;
    const created = await ruffinweb(['backup', 'create', dir], settings);
    expect(created.code, created.stderr).to.equal(0);
    const refused = await ruffinweb(['backup', 'verify', dir], settings);
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.include('name the server itself in DATABASE_URL');
    const verified = await ruffinweb(['backup', 'verify', dir], { ...settings, DATABASE_URL: db.url });
    expect(verified.code, verified.stderr).to.equal(0);
  });

  it('commands work, and name the missing ignore_startup_parameters line', async () => {
    expect((await ruffinweb(['migrate', 'check'], settings)).code).to.equal(0);
    expect((await ruffinweb(['health'], settings)).stdout).to.include('database');
    await using plain = await startPgBouncer(db.url, (ini) => ini.replace(/^ignore_startup_parameters.*$/m, ''));
    const refused = await ruffinweb(['migrate', 'check'], { ...settings, DATABASE_URL: plain.url });
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.include('ignore_startup_parameters');
  });
});

function countBy(values: number[]): Record<number, number> {
  return Object.fromEntries(
    Object.entries(Object.groupBy(values, String)).map(([key, all]) => [key, all?.length ?? 0]),
  );
}

/** With the settings that we publish; only host, port and login are this machine's. */
async function startPgBouncer(
  databaseUrl: string,
  change: (ini: string) => string = (text) => text,
): Promise<AsyncDisposable & { url: string }> {
  await using opened = new AsyncDisposableStack();
  const target = new URL(databaseUrl);
  const folder = opened.use(await programFolder('pgbouncer')).path;
  const port = await freePort();
  const database = target.pathname.slice(1);
  const ini = await readFile(new URL('../../deploy/pgbouncer/pgbouncer.ini', import.meta.url), 'utf8');
  await writeFile(
    `${folder}/pgbouncer.ini`,
    `${change(ini)
      .replace('ruffinweb = host=127.0.0.1 port=5432', `${database} = host=${target.hostname} port=${target.port}`)
      .replace('listen_port = 6432', `listen_port = ${port}`)
      .replaceAll('/etc/pgbouncer/userlist.txt', `${folder}/userlist.txt`)}\nunix_socket_dir =\n`,
  );
  await writeFile(
    `${folder}/userlist.txt`,
    `"${decodeURIComponent(target.username)}" "${decodeURIComponent(target.password)}"\n`,
  );
  // PgBouncer refuses to run as root, and reads its files as another user.
  const asOther = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  await chmod(folder, 0o755);
  const bouncer = opened.use(new MachineProcess('pgbouncer', [...asOther, `${folder}/pgbouncer.ini`]));
  await bouncer.ready('PgBouncer listens', async () => bouncer.output.includes(`listening on 127.0.0.1:${port}`));
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  const owned = opened.move();
  return { url: url.href, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
