import { expect } from 'chai';
import type { Health } from '../../src/services/health/health.ts';
import { takesWrites } from '../../src/services/intake/write-access.ts';
import { openScope } from '../../src/services/scope.ts';
import { runHere } from '../cli/terminal.ts';
import { clientOf, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { allowEverything, refuseMessages, refuseTables } from '../support/no-space.ts';
import { type Api, openApi, startServerHere } from '../support/server-here.ts';
import { TlsProxy } from '../support/tls-proxy.ts';
import { until } from '../support/until.ts';

describe('a database that is read-only for a while, as a standby before promotion', () => {
  let api: Api;

  before(async () => {
    api = await openApi({}, { deliver: true });
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });

  /** Applies to all connections from now on; open ones keep their setting. */
  const set = (readOnly: 'on' | 'off') =>
    api.db.query(
      `set transaction read write; alter database ${api.db.name} set default_transaction_read_only = ${readOnly}`,
    );

  it('counts as down, and old connections block no posts or mail afterwards', async () => {
    const { http, db } = api;
    await set('on');
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()`,
      [db.name],
    );
    const meanwhile = await Promise.all(Array.from({ length: 3 }, () => http.post('/api/messages', submission())));
    for (const answer of meanwhile) expect([answer.status, answer.json.code]).to.deep.equal([503, 'database-away']);
    const unready = await http.get('/readyz');
    expect([unready.status, unready.json.checks]).to.deep.equal([503, { database: 'read-only' }]);
    await set('off');
    // No earlier connection may be used again: each would reject writes for as long as it lives, half an hour.
    await until('a post is stored', async () => (await http.post('/api/messages', submission())).status === 201);
    expect((await http.get('/readyz')).status).to.equal(200);
    await until('its mail is sent', async () => (await db.emails())['notification sent'] === 1);
  });
});

describe('a database that takes no posts, as with a full disk', () => {
  let api: Api;

  before(async () => {
    api = await openApi();
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await allowEverything(api.db);
  });

  const ready = async () => {
    const { status, json } = await api.http.get('/readyz');
    return [status, json.checks.database];
  };
  let posts = 0;
  const post = async () => (await api.http.post('/api/messages', submission({ message: `Hello ${++posts}` }))).status;

  it('makes the server unready until a post is stored again', async () => {
    const { db } = api;
    await refuseTables(db, '53100');
    expect(await ready(), 'nothing is tried before a post fails').to.deep.equal([200, 'ok']);
    for (const code of ['53100', '53200', '58030', '58P01', '25006']) {
      await refuseMessages(db, code);
      expect(await post(), code).to.equal(503);
      expect(await ready(), code).to.deep.equal([503, 'takes-no-writes']);
      await db.query('drop trigger refuse_messages on messages');
      expect(await ready(), 'not tried again yet').to.deep.equal([503, 'takes-no-writes']);
      expect(await post()).to.equal(201);
      expect(await ready(), code).to.deep.equal([200, 'ok']);
    }
    for (const code of ['55P03', '23514']) {
      await refuseMessages(db, code);
      expect(await post(), code).to.be.at.least(500);
      expect(await ready(), 'the fault of this post alone').to.deep.equal([200, 'ok']);
    }
  });

  it('makes the server ready once a write succeeds', async () => {
    await using context = await openTestContext(api.db);
    const scope = openScope(context);
    const access = { isDoubtful: true, triedAt: Number.NEGATIVE_INFINITY };
    await refuseTables(api.db, '53100');
    expect(await takesWrites(scope, access)).to.equal(false);
    await allowEverything(api.db);
    expect(await takesWrites(scope, access), 'ten seconds have not passed').to.equal(false);
    access.triedAt -= 10_000;
    expect(await takesWrites(scope, access)).to.equal(true);
    expect(access.isDoubtful).to.equal(false);
    expect(await api.db.query(`select from pg_class where relname = 'write_check'`)).to.deep.equal([]);
    await refuseTables(api.db, '42501');
    access.isDoubtful = true;
    access.triedAt -= 10_000;
    expect(await takesWrites(scope, access), 'a file system that became read-only').to.equal(false);
  });
});

describe('a database where a right, a table or an index is missing, as during a restore', () => {
  let db: TestDatabase;
  let role: string;
  let url: string;

  before(async () => {
    db = await createDatabase();
    role = `${db.name}_server`;
    url = Object.assign(new URL(db.url), { username: role, password: 'secret' }).href;
    await db.query(`create role ${role} login password 'secret'`);
    await db.query(`grant select, insert, update, delete on all tables in schema public to ${role}`);
  });
  after(async () => {
    await db.query(`drop owned by ${role}; drop role ${role}`);
    await db[Symbol.asyncDispose]();
  });

  const writesOf = async () => {
    const { stdout } = await runHere(['health', '--json'], { url });
    return (JSON.parse(stdout) as Health).checks.find((it) => it.name === 'writes');
  };

  it('gives posts 503, and readyz and health notice it', async () => {
    await using server = await startServerHere({ DATABASE_URL: url });
    const http = clientOf(server.url);
    let posts = 0;
    const post = () => http.post('/api/messages', submission({ message: `Hello ${++posts}` }));
    for (const [takeAway, giveBack] of [
      [`revoke insert on messages from ${role}`, `grant insert on messages to ${role}`],
      [`revoke update on senders from ${role}`, `grant update on senders to ${role}`],
      ['alter table emails rename to emails_away', 'alter table emails_away rename to emails'],
      [
        'alter table recent_posts drop constraint recent_posts_pkey',
        'alter table recent_posts add primary key (fingerprint)',
      ],
    ] as const) {
      await db.query(takeAway);
      const refused = await post();
      expect([refused.status, refused.json.code], takeAway).to.deep.equal([503, 'database-away']);
      expect(refused.headers.get('retry-after')).to.equal('5');
      expect((await http.get('/readyz')).status, takeAway).to.equal(503);
      const writes = await writesOf();
      expect(writes, takeAway).to.include({ status: 'fail' });
      expect(writes?.fact).to.match(/our database user may not|a table or an index is missing/);
      await db.query(giveBack);
      expect((await post()).status, giveBack).to.equal(201);
      expect((await http.get('/readyz')).status, giveBack).to.equal(200);
      expect(await writesOf()).to.include({ status: 'ok' });
    }
  });

  it('counts as able to write if we have no right to try', async () => {
    await db.query(`revoke temporary on database ${db.name} from public`);
    expect(await writesOf()).to.include({ status: 'warn' });
    await using context = await openTestContext({ url });
    const access = { isDoubtful: true, triedAt: Number.NEGATIVE_INFINITY };
    expect(await takesWrites(openScope(context), access)).to.equal(true);
  });
});

describe('a database whose TLS is broken for a while', () => {
  it('counts as down, and posts are stored when it works again', async () => {
    await using db = await createDatabase();
    await using proxy = await TlsProxy.before(db.url);
    await using server = await startServerHere({ DATABASE_URL: proxy.urlOf('verify-full') });
    const http = clientOf(server.url);
    for (const mode of ['none', 'garbage', 'expired'] as const) {
      proxy.mode = mode;
      proxy.cut();
      const answer = await http.post('/api/messages', submission());
      expect([answer.status, answer.json.code], mode).to.deep.equal([503, 'database-away']);
      expect(answer.headers.get('retry-after'), mode).to.equal('5');
      const unready = await http.get('/readyz');
      expect([unready.status, unready.json.checks], mode).to.deep.equal([503, { database: 'away' }]);
    }
    proxy.mode = 'good';
    expect((await http.post('/api/messages', submission())).status).to.equal(201);
  });
});
