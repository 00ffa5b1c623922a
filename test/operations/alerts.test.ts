import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { inspect } from 'node:util';
import { expect } from 'chai';
import type { ConfigFaulty } from '../../src/config/config.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { holdLock } from '../../src/database/locks.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { checkCertificate } from '../../src/services/alerts/certificate.ts';
import { conditions, databaseAway } from '../../src/services/alerts/conditions.ts';
import { Watch, watchConditions } from '../../src/services/alerts/watch-conditions.ts';
import type { Health } from '../../src/services/health/health.ts';
import { runHere } from '../cli/terminal.ts';
import { buildMessages } from '../support/build.ts';
import { openTestMailing, recordStatements } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { allowEverything, refuseTables } from '../support/no-space.ts';
import * as past from '../support/past.ts';
import { type Settings, temporaryFolder } from '../support/program.ts';
import { Receiver } from '../support/receiver.ts';
import { startServerHere } from '../support/server-here.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const flipContent = `update messages set content = set_byte(content, length(content) - 1, 255 - get_byte(content, length(content) - 1))`;

/** How to begin and end each condition by hand. `contact` has three messages. */
const faults: Record<
  string,
  [begin: (db: TestDatabase) => Promise<unknown>, end: (db: TestDatabase) => Promise<unknown>]
> = {
  paused: [
    (db) => db.query(`update mail_queue set cause = 'hand', paused_at = now() - interval '11 minutes'`),
    (db) => db.query('update mail_queue set cause = null, paused_at = null'),
  ],
  unsent: [(db) => past.agedEmails(db, '16 minutes'), (db) => past.agedEmails(db, '-16 minutes')],
  failed: [
    (db) =>
      db.query(`with failed as (update emails set state = 'failed', failure = 'refused' where id = (
            select max(id::text)::uuid from emails where kind = 'notification') returning id)
          insert into attempts (id, email_id, outcome, finished_at) select gen_random_uuid(), id, 'refused', now() from failed`),
    (db) => db.query(`update emails set state = 'cancelled' where state = 'failed'`),
  ],
  held: [
    (db) => db.query(`update messages set status = 'held', held_at = now() - interval '49 hours'`),
    (db) => db.query(`update messages set status = 'accepted', held_at = null`),
  ],
  keys: [(db) => db.query(flipContent), (db) => db.query(flipContent)],
  backup: [
    (db) => db.query(`insert into duties (name, done_at) values ('backup-verified', now() - interval '3 days')`),
    (db) => db.query(`update duties set done_at = now() where name = 'backup-verified'`),
  ],
  hooks: [
    (db) =>
      db.query(`insert into hooks (id, name, kind, state, url, events, failing_since, created_at)
          values (gen_random_uuid(), 'zap', 'webhook', 'active', '', '{}', now() - interval '61 minutes', now())`),
    (db) => db.query('delete from hooks'),
  ],
};

describe('alerts', () => {
  let db: TestDatabase;
  let receiver: Receiver;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let context: MailingContext;
  const stop = new AbortController();

  const settings = (): Settings => ({
    ALERT_URL: `ntfy+${receiver.url}/topic-of-tests`,
    HOOK_ALLOW_HOSTS: '127.0.0.1',
    DATA_DIR: folder.path,
    PUBLIC_URL: 'http://forms.example.test',
  });

  before(async () => {
    [db, receiver, folder] = await Promise.all([createDatabase(), Receiver.open(), temporaryFolder()]);
    context = await openTestMailing(db, settings());
    await buildMessages(context, 3);
  });
  after(async () => {
    for (const it of [context, receiver, folder, db]) await it[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    receiver.ledger.length = 0;
    receiver.always = {};
    await db.query('truncate alerts');
  });

  const minute = 60_000;
  let clockMs = 0;
  const now = () => new Date(Date.now() + clockMs);
  const newWatch = (given: Partial<MailingContext> = {}) => new Watch({ ...context, ...given, now }, stop.signal);

  /** All that was told is older now, for the database and for this process. */
  const pass = async (ms: number) => {
    clockMs += ms;
    const by = `${ms} * interval '1 millisecond'`;
    await db.query(`update alerts set since = since - ${by}, told_at = told_at - ${by}`);
  };

  /** One look of each, a minute after the last. */
  const look = async (...watches: Watch[]) => {
    await pass(minute);
    await Promise.all(watches.map((it) => it.look()));
  };

  /** The titles that arrived since the last call, without the host. */
  const titles = () => said().map((it) => it.title);
  const said = () =>
    receiver.ledger.splice(0).map((it) => {
      const { title, message, priority } = JSON.parse(it.body) as { title: string; message: string; priority: number };
      expect(it.body).not.to.match(/ada|hello|owner@/i);
      const [site, ...words] = title.split(': ');
      expect(site).to.equal('forms.example.test');
      return { title: words.join(': '), message, priority };
    });

  const alertsOf = (names: string[], prefix = '') => names.map((it) => `${prefix}${conditions[it]?.alert}`);

  it('tells each condition once, and its end', async () => {
    const watch = newWatch();
    await look(watch);
    expect(titles(), 'all is well').to.deep.equal([]);
    for (const [begin] of Object.values(faults)) await begin(db);
    await look(watch);
    expect(titles(), 'perhaps it ends by itself').to.deep.equal([]);
    await look(watch);
    const told = said();
    await look(watch);
    expect(titles(), 'nothing is new').to.deep.equal([]);
    const names = Object.keys(faults);
    expect(told.map((it) => it.title)).to.deep.equal(alertsOf(names));
    expect(told.map((it) => it.priority))
      .to.include(4)
      .and.not.include(3);
    expect(told[0]?.message).to.match(
      /^Found: the queue was paused by hand, for 11 min\.\nTo do: run "ruffinweb health"\.\nIt began 1 min ago, at \d{4}-[-\d]+ \d\d:\d\d UTC\.$/,
    );
    expect(told[3]?.message).to.include('3 held, 3 of them longer than 2 days');
    for (const [, end] of Object.values(faults)) await end(db);
    await look(watch);
    expect(titles()).to.deep.equal(alertsOf(names, 'resolved: '));
    await look(watch);
    expect(titles()).to.deep.equal([]);
  });

  it('tells a pause of the program at once, one of an operator after 10 minutes', async () => {
    const silent = { SMTP_HOST: '127.0.0.1', SMTP_PORT: '1', MAIL_FROM: 'forms@site.test' };
    await using away = await openTestMailing(db, { ...settings(), ...silent });
    const pauses: [set: string, seconds: number, told: string[], from?: MailingContext][] = [
      [`cause = 'broken'`, 0, alertsOf(['paused'])],
      [`cause = 'broken', is_away = true`, 0, alertsOf(['paused']), away],
      // It is back, and a worker will notice within a minute.
      [`cause = 'broken', is_away = true`, 0, []],
      [`cause = 'broken', is_away = true`, 61, alertsOf(['paused'])],
      [`cause = 'hand'`, 61, []],
      [`cause = 'restored'`, 61, []],
    ];
    for (const [set, seconds, expected, from] of pauses) {
      await db.query(
        `truncate alerts; update mail_queue set ${set}, paused_at = now() - interval '${seconds} seconds'`,
      );
      const watch = newWatch(from);
      await look(watch);
      await look(watch);
      expect(titles(), `${set}, for ${seconds} s`).to.deep.equal(expected);
      await db.query('update mail_queue set cause = null, paused_at = null, is_away = false');
    }
  });

  it('asks the mail server if mail meets none, before the queue is paused', async () => {
    await using smtp = await startSmtpServer();
    const mail = { ...settings(), SMTP_HOST: smtp.host, MAIL_FROM: 'forms@site.test' };
    const away = await openTestMailing(db, { ...mail, SMTP_PORT: '1' });
    const there = await openTestMailing(db, { ...mail, SMTP_PORT: String(smtp.port) });
    const attempt = (outcome: string, code: number | null, ago: string) => (): Promise<unknown> =>
      db.query(`insert into attempts (id, email_id, outcome, code, finished_at)
        select gen_random_uuid(), id, '${outcome}', ${code}, now() - interval '${ago}' from emails limit 1`);
    const doubts: [what: string, steps: (() => Promise<unknown>)[], isAsked: boolean][] = [
      ['an attempt under way', [() => past.leased(db), () => past.dueIn(db, '80 seconds')], true],
      ['no mail server', [attempt('away', null, '1 second')], true],
      ['it takes no connection', [attempt('away', 421, '1 second')], true],
      ['silence', [attempt('later', null, '90 seconds')], true],
      ['silence after the text', [attempt('unknown', null, '90 seconds')], true],
      ['long ago', [attempt('away', null, '3 minutes')], false],
      ['not now', [attempt('later', 451, '1 second')], false],
      ['and it answered', [attempt('away', null, '20 seconds'), attempt('accepted', 250, '15 seconds')], false],
      ['others get through', [attempt('accepted', 250, '9 seconds'), attempt('away', null, '1 second')], false],
      ['nothing', [], false],
    ];
    for (const [what, steps, isAsked] of doubts) {
      for (const step of steps) await step();
      for (const it of [away, there]) {
        await db.query('truncate alerts');
        const watch = newWatch(it);
        await look(watch);
        await look(watch);
        const told = said();
        expect(
          told.map((one) => one.title),
          what,
        ).to.deep.equal(isAsked && it === away ? alertsOf(['paused']) : []);
        if (told[0]) expect(told[0].message).to.include('Found: no mail server answers at 127.0.0.1:1.');
      }
      await db.query(`truncate attempts; update emails set lease_token = null, due_at = now()`);
    }
    expect(smtp.connections.total, 'asks only then').to.equal(2 * doubts.filter(([, , isAsked]) => isAsked).length);
    for (const it of [away, there]) await it[Symbol.asyncDispose]();
  });

  it('tells a full disk for each machine, and forgets one that ended in time', async () => {
    const { config } = context;
    // Nothing is free there.
    const full = newWatch({ config: { ...config, dataDir: '/proc' } });
    const fine = newWatch();
    for (const it of [full, fine, full]) await look(it);
    expect(titles()).to.deep.equal([]);
    await look(full, newWatch({ config: { ...config, dataDir: '/proc' } }));
    const told = said();
    expect(told.map((it) => it.title)).to.deep.equal(['a disk is almost full']);
    expect(told[0]?.message)
      .to.match(/^Found: 0\.?0? \w+ free .* at \/proc on /)
      .and.include(`on ${hostname()}.`);
    expect(await db.query('select condition from alerts where since is not null')).to.deep.equal([
      { condition: `disk ${hostname()}` },
    ]);
    await look(fine);
    expect(titles()).to.deep.equal(['resolved: a disk is almost full']);
  });

  it('tells a certificate that is wrong, ends soon, or does not answer', async () => {
    await using https = await Receiver.open({ https: true });
    const check = (now: Date, address = https.url) => checkCertificate(address, now, stop.signal);
    const now = new Date();
    const selfSigned = 'the certificate is wrong (DEPTH_ZERO_SELF_SIGNED_CERT)';
    expect(await check(now)).to.equal(selfSigned);
    const { emitWarning } = process;
    // Node would warn about it in the output of the tests.
    process.emitWarning = () => {};
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    const found = await check(now);
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.emitWarning = emitWarning;
    expect(found).to.equal(selfSigned);
    expect(await check(now, receiver.url), 'no https').to.equal(undefined);
    expect(await check(now, 'https://127.0.0.1:1')).to.equal('this server cannot connect to it (ECONNREFUSED)');
    const before = getCACertificates();
    setDefaultCACertificates([readFileSync(new URL('../support/tls/cert.pem', import.meta.url), 'utf8')]);
    try {
      expect(await check(now)).to.equal(undefined);
      const end = Date.parse('2126-10-29T07:54:17Z');
      expect(await check(new Date(end - 14.5 * 86_400_000))).to.equal(undefined);
      expect(await check(new Date(end - 13.5 * 86_400_000))).to.equal('the certificate ends on 2126-10-29');
    } finally {
      setDefaultCACertificates(before);
    }
  });

  it('tells once from two servers and after a restart, and again after a day', async () => {
    const two = [newWatch(), newWatch()] as const;
    await faults.held?.[0](db);
    await look(...two);
    for (const it of two) await it.look();
    expect(titles(), 'too soon').to.deep.equal([]);
    await look(...two);
    await look(newWatch());
    expect(titles()).to.deep.equal(['held messages wait for you']);
    await pass(24 * 60 * minute);
    await look(...two);
    await look(...two);
    expect(titles()).to.deep.equal(['still: held messages wait for you']);
    await faults.held?.[1](db);
    await look(...two);
    await look(...two);
    expect(titles()).to.deep.equal(['resolved: held messages wait for you']);
  });

  it('tells at most twice an hour about what comes and goes', async () => {
    const watch = newWatch();
    for (const kind of ['paused', 'database']) {
      const isDatabase = kind === 'database';
      for (let times = 0; times < 3; times++) {
        await (isDatabase ? refuseTables(db, '53100') : faults.paused?.[0](db));
        for (let looks = 0; looks < 3; looks++) await look(watch);
        await (isDatabase ? allowEverything(db) : faults.paused?.[1](db));
        await look(watch);
      }
      const alert = isDatabase ? databaseAway.alert : 'mail is paused';
      expect(titles(), kind).to.deep.equal([alert, `resolved: ${alert}`]);
    }
    await refuseTables(db, '53100');
    for (let looks = 0; looks < 15; looks++) await look(watch);
    expect(titles(), 'not yet').to.deep.equal([]);
    await look(watch);
    expect(titles(), 'it lasted').to.deep.equal([databaseAway.alert]);
    await allowEverything(db);
  });

  it('tells after the clock was set back', async () => {
    const watch = newWatch();
    await db.query(`insert into alerts (condition, told_at) values ('paused', now() + interval '50 minutes')`);
    await faults.paused?.[0](db);
    await look(watch);
    await look(watch);
    expect(titles()).to.deep.equal(['mail is paused']);
    await faults.paused?.[1](db);
  });

  it('tells nothing about a condition that cannot be checked', async () => {
    const watch = newWatch({ config: { ...context.config, dataDir: '\0' } });
    for (let looks = 0; looks < 3; looks++) await look(watch);
    expect(receiver.ledger).to.deep.equal([]);
  });

  it('sends again at each look what nobody took, one at a time, and shows why', async () => {
    const health = async () => {
      const { stdout } = await runHere(['health', '--json'], db, { settings: settings() });
      return (JSON.parse(stdout) as Health).checks.find((it) => it.name === 'alerts');
    };
    const { host } = new URL(receiver.url);
    await db.query(`delete from duties where name = 'alerts'`);
    expect(await health()).to.include({ status: 'warn', fact: `sent to ${host}, but by no server` });
    const watch = newWatch();
    await faults.paused?.[0](db);
    await faults.hooks?.[0](db);
    await look(watch);
    expect(await health()).to.include({ status: 'ok', fact: `sent to ${host}` });
    receiver.always = { status: 429, headers: { 'Retry-After': '3600' }, body: 'broken today' };
    for (let looks = 1; looks < 5; looks++) {
      await look(watch);
      expect(receiver.ledger).to.have.lengthOf(looks);
    }
    expect(await health()).to.include({ status: 'warn', fix: 'ruffinweb health --alert-test' });
    expect((await health())?.fact).to.equal(`sent to ${host}; the last error: ALERT_URL: 429 broken today`);
    receiver.always = {};
    receiver.ledger.length = 0;
    await faults.hooks?.[1](db);
    await look(watch);
    await look(watch);
    expect(titles()).to.deep.equal(['mail is paused']);
    expect(await health()).to.include({ status: 'ok', fact: `sent to ${host}` });
    await faults.paused?.[1](db);
  });

  it('waits for the process that is telling, and ends at once with it', async () => {
    const stopSlow = new AbortController();
    const slow = new Watch(context, stopSlow.signal);
    await faults.paused?.[0](db);
    await look(slow);
    receiver.answer('silence');
    const looking = look(slow);
    await receiver.received(1);
    await look(newWatch());
    expect(titles()).to.deep.equal(['mail is paused']);
    stopSlow.abort();
    await looking;
    await look(newWatch());
    expect(titles(), 'nobody took it').to.deep.equal(['mail is paused']);
    await faults.paused?.[1](db);
  });

  it('sends to ALERT_TO past the queue, and one of both is enough', async () => {
    const watch = newWatch({ config: readConfig({ ...settings(), ALERT_TO: 'operator@elsewhere.test' }) });
    receiver.answer('reset');
    await faults.paused?.[0](db);
    for (let looks = 0; looks < 3; looks++) await look(watch);
    await faults.paused?.[1](db);
    await look(watch);
    expect(titles()).to.deep.equal(['mail is paused', 'resolved: mail is paused']);
    const mails = (await readdir(join(folder.path, 'mail'))).filter((it) => it.includes('-alert-'));
    expect(mails).to.have.lengthOf(2);
    const texts = mails.map((it) => readFileSync(join(folder.path, 'mail', it), 'utf8')).join('');
    expect(texts).to.include('To: operator@elsewhere.test').and.include('Subject: forms.example.test: mail is paused');
    expect(await db.count('emails'), 'not by the queue').to.equal(6);
  });

  it('tells from each server that the database is away, and back', async () => {
    await using proxy = await TcpProxy.before(db.url);
    const away = await openTestMailing({ url: proxy.urlOf(db.url) } as TestDatabase, settings());
    const two = [newWatch(away), newWatch(away)];
    await look(...two);
    proxy.mode = 'refuse';
    await look(...two);
    expect(titles()).to.deep.equal([]);
    await look(...two);
    await look(...two);
    const told = said();
    expect(told.map((it) => it.title)).to.deep.equal(Array(2).fill(databaseAway.alert));
    expect(told[0]?.message).to.include(`Found: the database does not answer, seen from ${hostname()}.`);
    proxy.mode = 'pass';
    await look(...two);
    await look(...two);
    expect(titles()).to.deep.equal(Array(2).fill(`resolved: ${databaseAway.alert}`));
    await away[Symbol.asyncDispose]();
  });

  it('notices a database that goes away during a look', async () => {
    await using proxy = await TcpProxy.before(db.url);
    const away = await openTestMailing({ url: proxy.urlOf(db.url) } as TestDatabase, settings());
    const watch = newWatch(away);
    const isLooking = proxy.reached('doubt_mail').then(() => {
      clockMs += minute;
      proxy.mode = 'refuse';
    });
    await look(watch);
    await isLooking;
    await watch.look();
    expect(titles(), 'only the look was long').to.deep.equal([]);
    await look(watch);
    expect(titles()).to.deep.equal([databaseAway.alert]);
    await away[Symbol.asyncDispose]();
  });

  it('tells from each server that the database is read-only, also while one is telling', async () => {
    await db.query(`alter database ${db.name} set default_transaction_read_only = on`);
    const other = await openTestMailing(db, settings());
    const two = [newWatch(other), newWatch(other)] as const;
    const telling = await holdLock(context.orm.em, 7_226_949);
    for (let looks = 0; looks < 3; looks++) for (const it of two) await pass(minute / 2).then(() => it.look());
    await telling?.[Symbol.asyncDispose]();
    await db.query(`set transaction read write; alter database ${db.name} set default_transaction_read_only = off`);
    expect(titles()).to.deep.equal(Array(2).fill(databaseAway.alert));
    await other[Symbol.asyncDispose]();
  });

  it('is done by a server that delivers nothing, and does not hold up its stop', async () => {
    await faults.paused?.[0](db);
    await look(newWatch());
    await pass(minute);
    receiver.answer('silence');
    {
      await using _server = await startServerHere({ ...settings(), DATABASE_URL: db.url }, { deliver: false });
      await receiver.received(1);
    }
    expect(titles()).to.deep.equal(['mail is paused']);
    expect(await db.query(`select from alerts where condition = 'paused' and told_at is null`)).to.have.lengthOf(1);
    await faults.paused?.[1](db);
  });

  it('asks nothing if neither address is set', async () => {
    const config = readConfig({ DATA_DIR: folder.path });
    const statements = await recordStatements(context);
    await watchConditions({ ...context, config }, stop.signal);
    expect(statements).to.deep.equal([]);
    const { stdout } = await runHere(['health', '--json'], db, { settings: { DATA_DIR: folder.path } });
    const found = (JSON.parse(stdout) as Health).checks.find((it) => it.name === 'alerts');
    expect(found).to.include({ status: 'ok' });
    expect(found?.fact).to.match(/^ALERT_URL is not set/);
  });

  it('health --alert-test says what each address answered, without a database', async () => {
    const nowhere = { url: 'postgresql://u@127.0.0.1:1/x' };
    const run = (given: Settings) => runHere(['health', '--alert-test'], nowhere, { settings: given });
    const both = { ...settings(), ALERT_TO: 'operator@elsewhere.test' };
    receiver.always = { body: 'thanks' };
    const fine = await run(both);
    expect(fine.code).to.equal(0);
    expect(fine.stdout).to.match(/^✓ ALERT_URL: 200 thanks\n✓ ALERT_TO: written to \S+-alert-\S+\.eml\n$/);
    expect(titles()).to.deep.equal(['a test of alerts']);
    receiver.always = { status: 403, body: 'no\u001b[31m' };
    const refused = await run(both);
    expect(refused.code).to.equal(4);
    expect(refused.stdout).to.match(/^✗ ALERT_URL: 403 no \[31m\n✓ ALERT_TO/);
    const unset = await run({ DATA_DIR: folder.path });
    expect([unset.code, unset.stderr]).to.deep.equal([2, 'set ALERT_URL or ALERT_TO first']);
  });

  it('refuses a wrong ALERT_URL or ALERT_TO at the start, without quoting it', () => {
    const secret = 'T0P-S3CRET';
    const wrongs = (env: Settings) => {
      try {
        readConfig(env);
        return 'nothing';
      } catch (error) {
        expect(inspect(error)).not.to.include(secret);
        return (error as ConfigFaulty).faults.map((it) => `${it.variable} ${it.wrong}`).join();
      }
    };
    const addresses: [string, RegExp][] = [
      [`https://hooks.slack.com/services/${secret}`, /^nothing$/],
      [`slack+https://chat.example.com/hooks/${secret}`, /^nothing$/],
      [`apprise+http://10.0.0.5/notify/${secret}`, /^nothing$/],
      [`apprise+http://10.0.0.6/notify/${secret}`, /cannot be used: http works only for hosts in HOOK_ALLOW_HOSTS/],
      [`ntfy+https://127.0.0.1/${secret}`, /cannot be used: .*not public/],
      [`ntfy+https://0x7f.1/${secret}`, /cannot be used: .*not public/],
      [`http://ntfy.sh/${secret}`, /cannot be used: http works only/],
      [`https://chat.example.com/${secret}`, /^ALERT_URL must be an https address of Slack, .* put slack\+, /],
      [`webhook+https://chat.example.com/${secret}`, /must be an https address of/],
      [`ntfy+ftp://push.example.com/${secret}`, /must be an https address of/],
      [`https://api.telegram.org/bot${secret}/getMe`, /cannot be used: This is not an address for telegram/],
      [`ntfy+https://u:${secret}@push.example.com/x`, /cannot be used: .*password/],
      [secret, /must be an https address of/],
    ];
    for (const [address, says] of addresses) {
      expect(wrongs({ ALERT_URL: address, HOOK_ALLOW_HOSTS: '10.0.0.5' }), address).to.match(says);
    }
    expect(wrongs({ ALERT_TO: 'a@b.test, c@d.test' })).to.equal(
      'ALERT_TO must be an address, or a name followed by an address in angle brackets',
    );
    const config = readConfig({ ALERT_URL: `https://ntfy.sh/${secret}` });
    expect(inspect(config) + JSON.stringify(config)).not.to.include(secret);
  });

  it('config show hides ALERT_URL', async () => {
    const { stdout } = await runHere(['config', 'show', '--json'], db, { settings: settings() });
    expect(stdout).to.include('ALERT_URL').and.not.include('topic-of-tests');
  });
});
