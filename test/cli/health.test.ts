import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Health } from '../../src/services/health/health.ts';
import type { HealthCheck } from '../../src/services/health/health-check.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { buildDelivery } from '../support/build-delivery.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { refuseTables } from '../support/no-space.ts';
import * as past from '../support/past.ts';
import { ruffinweb, type Settings, temporaryFolder, testKeys } from '../support/program.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { runHere, type SettingFiles } from './terminal.ts';

describe('health', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const names = [
    'database',
    'durability',
    'writes',
    'schema',
    'keys',
    'sealed',
    'queue',
    'failed',
    'held',
    'hooks',
    'retention',
    'alerts',
    'templates',
    'mail',
    'files',
    'disk',
    'proxies',
    'settings',
  ];

  before(async () => {
    folder = await temporaryFolder();
  });
  after(async () => {
    await folder[Symbol.asyncDispose]();
  });

  const look = async (db: TestDatabase, settings: Settings = {}, files: SettingFiles = {}) => {
    const { code, stdout } = await runHere(['health', '--json'], db, {
      settings: { DATA_DIR: folder.path, ...settings },
      files,
    });
    const health = JSON.parse(stdout) as Health;
    expect(health.checks.map((it) => it.name)).to.deep.equal(names);
    expect(code).to.equal(health.status === 'fail' ? 4 : 0);
    const seen = (name: HealthCheck['name']) => health.checks.find((it) => it.name === name) as HealthCheck;
    return {
      status: health.status,
      seen,
      failing: health.checks.filter((it) => it.status === 'fail').map((it) => it.name),
    };
  };

  it('reports what each check saw and exits 0 when all is well', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    await buildMessages(context, 1);
    const { code, stdout, stderr } = await ruffinweb(['health'], { DATABASE_URL: db.url, DATA_DIR: folder.path });
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split(/ +/).slice(0, 3).join(' ')),
    ).to.deep.equal(names.map((name) => `✓ ok ${name}`));
    const { seen } = await look(db);
    expect(seen('database').fact).to.match(/^PostgreSQL \d+\.\d+, database \w+, answers in \d+\.\d ms$/);
    expect(seen('keys').fact).to.equal('k1 encrypts, 1 can decrypt');
    expect(seen('queue').fact).to.include('2 queued');
    expect(seen('mail').fact).to.include(folder.path);
  });

  it('warns about https without a trusted proxy', async () => {
    await using db = await createDatabase();
    const settings = { PUBLIC_URL: 'https://forms.example.test' };
    const { seen } = await look(db, settings);
    expect(seen('proxies')).to.include({ status: 'warn' });
    expect(seen('proxies').fix).to.include('set TRUST_PROXY');
    for (const fine of [{ ...settings, TRUST_PROXY: '1' }, { PUBLIC_URL: 'http://forms.example.test' }]) {
      expect((await look(db, fine)).seen('proxies')).to.include({ status: 'ok', fix: null });
    }
  });

  it('warns about clear text, even if the database is away', async () => {
    const away = { url: 'postgresql://u@127.0.0.1:1/x' };
    const clear = { DATA_DIR: folder.path, PUBLIC_URL: 'http://forms.example.com' };
    const { code, stdout } = await runHere(['health', '--json'], away, { settings: clear });
    expect(code).to.equal(4);
    const settings = (JSON.parse(stdout) as Health).checks.find((it) => it.name === 'settings');
    expect(settings).to.include({ status: 'warn' });
    expect(settings?.fact).to.match(/^PUBLIC_URL is http:/);
    expect(settings?.fix).to.include('https://forms.example.com');
  });

  it('warns about a late queue and failed mail, with advice', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    await buildMessages(context, 2);
    await settleDue(context, (email) => (email.kind === 'auto-reply' ? mailOutcomes.refused : mailOutcomes.later));
    expect((await look(db)).seen('queue').fact).to.match(/^2 queued, none overdue, the next try in (5\d|[67]\d) s$/);
    await db.query(`update emails set due_at = now() - interval '5 minutes' where state = 'queued'`);
    const warned = await look(db);
    expect(warned.status).to.equal('warn');
    expect(warned.seen('queue')).to.include({ status: 'warn', fact: '2 queued, the oldest overdue by 5 min' });
    expect(warned.seen('failed')).to.include({ status: 'warn', fact: '2 failed emails in the last 7 days' });
    expect(warned.seen('failed').fix).to.include('ruffinweb emails resend --failed');
    await db.query(`update emails set due_at = now() - interval '20 minutes' where state = 'queued'`);
    expect((await look(db)).failing).to.deep.equal(['queue']);
  });

  it('reports notifications that every attempt postpones, with the last reply', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    await buildMessages(context, 2);
    await settleDue(context, () => mailOutcomes.later);
    const queueAfter = async (age: string, kind = 'notification') => {
      await db.query(`update emails set created_at = now() - $1::interval where kind = $2`, [age, kind]);
      return (await look(db)).seen('queue');
    };
    expect(await queueAfter('3 days', 'auto-reply'), 'nobody waits for these').to.include({ status: 'ok' });
    expect(await queueAfter('14 minutes')).to.include({ status: 'ok' });
    const warned = await queueAfter('16 minutes');
    expect(warned).to.include({ status: 'warn' });
    expect(warned.fact).to.include(
      'the oldest notification has waited 16 min; its last attempt: later, 450 4.2.0 greylisted',
    );
    expect(warned.fix).to.include('ruffinweb emails resend --queued');
    expect(await queueAfter('119 minutes')).to.include({ status: 'warn' });
    expect(await queueAfter('121 minutes')).to.include({ status: 'fail' });
    // The newest notification has another reply, and the oldest one a newer attempt.
    await db.query(`update emails set created_at = now() where kind = 'notification' and id = (select max(id::text)::uuid
      from emails where kind = 'notification')`);
    await db.query(
      `update attempts set outcome = 'unknown' where email_id in (select id from emails where created_at > now() - interval '1 hour')`,
    );
    await db.query(`insert into attempts (id, email_id, outcome, started_at, finished_at)
      select gen_random_uuid(), email_id, 'away', now(), now() from attempts where outcome = 'later'`);
    await db.query(`update emails set due_at = now() - interval '3 minutes'`);
    const both = (await look(db)).seen('queue');
    expect(both, 'the worse of two').to.include({ status: 'fail' });
    expect(both.fact).to.match(/its last attempt: away$/);
    await db.query('delete from attempts');
    expect((await look(db)).seen('queue').fact).to.match(/has waited 2 h, and was never tried$/);
    await db.query(`update emails set due_at = now() + interval '1 minute'`);
    await runHere(['emails', 'resend', '--queued', '--yes'], db);
    expect((await look(db)).seen('queue'), 'it was asked for again').to.include({ status: 'ok' });
    await db.query(`update emails set state = 'held', requeued_at = null where kind = 'notification'`);
    expect((await look(db)).seen('queue'), 'held mail waits for a person').to.include({ status: 'ok' });
  });

  it('fails for a lost notification until it is dealt with', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    await buildMessages(context, 2);
    // Held for long and released late: the mail that is rejected today was created long ago.
    await past.agedEmails(db, '10 days');
    await settleDue(context, (email) => (email.kind === 'notification' ? mailOutcomes.refused : mailOutcomes.accepted));
    const { failing, seen } = await look(db);
    expect(failing).to.deep.equal(['failed']);
    expect(seen('failed').fact).to.equal(
      '2 failed emails in the last 7 days; an owner was not notified about 2 messages',
    );
    expect(seen('failed').fix).to.include('--kind notification').and.include('emails resend --failed');
    expect(seen('failed').fix).to.include('emails cancel').and.include('after 7 days');

    const [first = '', second = ''] = (
      await db.query<{ id: string }>(`select id from emails where state = 'failed' order by id`)
    ).map((it) => it.id);
    await runHere(['emails', 'resend', first], db);
    expect((await look(db)).seen('failed').fact).to.equal(
      '1 failed email in the last 7 days; an owner was not notified about 1 message',
    );
    await settleDue(context, () => mailOutcomes.refused);
    await runHere(['emails', 'cancel', second], db);
    expect((await look(db)).failing).to.deep.equal(['failed']);
    await db.query(`update attempts set finished_at = finished_at - interval '8 days' where email_id = $1`, [first]);
    expect((await look(db)).failing, 'it is old').to.deep.equal([]);
  });

  it('only warns about failed auto-replies', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    await buildMessages(context, 2);
    let notifications = 0;
    await settleDue(context, (email) =>
      email.kind === 'notification' && ++notifications === 1 ? mailOutcomes.accepted : mailOutcomes.refused,
    );
    const { seen } = await look(db);
    const fact = '3 failed emails in the last 7 days; an owner was not notified about 1 message';
    expect(seen('failed')).to.include({ status: 'fail', fact });
  });

  it('counts from the time a message was held, and names hooks with faults', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    const [message] = await buildMessages(context, 1);
    await db.age(message?.id ?? '', 300);
    await runHere(['messages', 'hold', message?.receipt ?? ''], db);
    expect((await look(db)).seen('held')).to.include({ status: 'ok', fact: '1 held, 0 of them longer than a day' });
    await db.query(`update messages set held_at = now() - interval '2 days'`);
    expect((await look(db)).seen('held').status).to.equal('warn');
    expect((await look(db)).seen('hooks')).to.include({ status: 'ok', fact: 'none' });
    await buildDelivery(db, context, { hook: 'own', outcome: 'later', code: 500, reply: 'oops' });
    await db.query(`update hooks set failing_since = now() - interval '14 minutes'`);
    const fact = '1 hook, 1 queued';
    expect((await look(db)).seen('hooks')).to.include({ status: 'ok', fact });
    await db.query(`update hooks set failing_since = now() - interval '20 minutes'`);
    await buildDelivery(db, context, {
      hook: 'past',
      hookState: 'gone',
      state: 'failed',
      outcome: 'refused',
      code: 410,
    });
    const { seen } = await look(db);
    expect(seen('hooks').status).to.equal('warn');
    expect(seen('hooks').fact).to.equal('2 hooks, 1 queued; own has failed for 20 min; past is gone; 1 to past failed');
  });

  it('warns about overdue messages, and if nothing purges', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    const [message] = await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.refused);
    await db.age(message?.id ?? '', 400);
    expect((await look(db)).seen('retention').fact).to.include('kept for ever');
    const { seen } = await look(db, { RETENTION_DAYS: '365' });
    expect(seen('retention')).to.include({ status: 'warn' });
    expect(seen('retention').fact).to.include('kept 365 days').and.include('1 expired message is still kept');
    await past.held(db);
    expect((await look(db)).seen('retention').fact, 'held for 400 days').to.include('1 expired message is still kept');
    await db.query(`update messages set status = 'accepted'`);
    await db.query(`insert into duties values ('purge', now() - interval '2 days')`);
    expect((await look(db)).seen('retention').fact).to.include('the last complete purge was 2 d ago');
    await db.query(`update duties set done_at = now()`);
    expect((await look(db)).seen('retention').status).to.equal('ok');
  });

  it('reports the rest when database, schema or keys are broken', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    await buildMessages(context, 1);
    const away = await look(db, { DATABASE_URL: 'postgresql://u:secret@127.0.0.1:1/x' });
    expect(away.failing).to.deep.equal(names.slice(0, 11));
    expect(away.seen('database').fact).to.include('ECONNREFUSED').and.to.not.include('secret');
    expect(away.seen('disk').status).to.equal('ok');

    const otherKey = `k1:${Buffer.alloc(32, 1).toString('base64')}`;
    const wrong = await look(db, { ENCRYPTION_KEYS: otherKey });
    expect(wrong.failing).to.deep.equal(['keys']);
    expect(wrong.seen('keys').fact).to.include('"k1"').and.to.not.include(otherKey.slice(3));
    const gone = await look(db, { ENCRYPTION_KEYS: '' });
    expect(gone.seen('keys')).to.include({ status: 'fail' });
    const added = await look(db, { ENCRYPTION_KEYS: `k2:${otherKey.slice(3)},${testKeys}` });
    expect(added.seen('keys')).to.include({ status: 'ok', fact: 'k2 encrypts, 2 can decrypt; k2 not used yet' });
    expect(await db.query('select id from encryption_keys')).to.deep.equal([{ id: 'k1' }]);

    await using empty = await createDatabase({ empty: true });
    const behind = await look(empty);
    expect(behind.failing).to.include('schema');
    expect(behind.seen('schema')).to.include({ fact: 'the database has no schema yet', fix: 'ruffinweb migrate up' });
    for (const name of behind.failing.filter((it) => it !== 'schema'))
      expect(behind.seen(name)).to.include({ fact: 'unknown without the schema', fix: null });
    expect(behind.seen('mail').status).to.equal('ok');
  });

  it('logs in to the mail server', async () => {
    await using db = await createDatabase();
    await using smtp = await startSmtpServer();
    const settings = { SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), MAIL_FROM: 'forms@example.test' };
    const good = await look(db, settings);
    expect(good.seen('mail')).to.include({ status: 'ok' });
    expect(good.seen('mail').fact).to.include(`smtp://127.0.0.1:${smtp.port}`);
    smtp.answer('greeting', '554 5.7.1 go away\u001b[31m');
    const bad = await look(db, settings);
    expect(bad.failing).to.deep.equal(['mail']);
    expect(bad.seen('mail').fact).to.include('go away');
    expect(bad.seen('mail').fix).to.include('SMTP_PASSWORD');
  });

  it('says that mail is retried while the mail server is away', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    await using smtp = await startSmtpServer();
    const settings = { SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), MAIL_FROM: 'forms@example.test' };
    const fixFor = async (step: 'greeting' | 'mail', reply: string, more: Settings = {}) => {
      smtp.answer(step, reply);
      const { status, fix } = (await look(db, { ...settings, ...more })).seen('mail');
      expect(status, reply).to.equal('fail');
      expect(fix, reply).to.not.match(/SMTP_USER|SMTP_PASSWORD/);
      return fix;
    };
    expect(await fixFor('mail', '451 4.7.1 not now')).to.match(/^if /);
    await buildMessages(context, 1);
    expect(await fixFor('mail', '451 4.7.1 not now')).to.match(/^2 emails are waiting and will be retried; if that /);
    expect(await fixFor('greeting', '421 4.3.2 closing')).to.match(/^2 emails are waiting and will be retried; if it /);
    await db.query(`delete from emails where kind = 'auto-reply'`);
    expect(await fixFor('greeting', '', { SMTP_PORT: '1' })).to.match(
      /^1 email is waiting and will be retried; if it stays away/,
    );
    await using paused = await createDatabase();
    await paused.query(
      `update mail_queue set paused_at = now() - interval '3 hours', cause = 'broken', is_away = true, probed_at = now()`,
    );
    expect((await look(paused)).seen('queue').fact).to.match(/, for 3 h; empty$/);
  });

  for (const [setting, value, fact] of [
    ['default_transaction_read_only', 'on', 'it is read-only'],
    ['default_transaction_isolation', 'repeatable read', 'default_transaction_isolation is repeatable read'],
    ['DateStyle', 'German', 'DateStyle is German, DMY'],
  ] as const) {
    it(`says that ${setting} = ${value} breaks everything, and what to set`, async () => {
      await using db = await createDatabase();
      await db.query(`alter database ${db.name} set ${setting} = '${value}'`);
      const { seen } = await look(db);
      expect(seen('database').status).to.equal('fail');
      expect(seen('database').fact).to.include(fact);
      expect(seen('database').fix).to.include(setting);
    });
  }

  for (const [code, status, fact] of [
    ['53100', 'fail', 'the disk of the database is full'],
    ['58030', 'fail', 'the database cannot use its files'],
    ['42501', 'fail', 'our database user may not do this'],
  ] as const) {
    it(`tries a write, and leaves nothing behind (${code})`, async () => {
      await using db = await createDatabase();
      expect((await look(db)).seen('writes')).to.include({ status: 'ok' });
      await refuseTables(db, code);
      const { seen } = await look(db);
      expect(seen('writes')).to.include({ status });
      expect(seen('writes').fact).to.include(fact);
      expect(seen('queue'), 'reading works').to.include({ status: 'ok' });
      expect(await db.query(`select from pg_class where relname = 'write_check'`)).to.deep.equal([]);
    });
  }

  it('finds values that cannot be decrypted', async () => {
    await using db = await createDatabase();
    expect((await look(db)).seen('sealed')).to.include({ status: 'ok', fact: 'nothing is encrypted yet' });
    await using context = await openTestContext(db);
    await buildMessages(context, 2);
    await settleDue(context, () => mailOutcomes.later);
    expect((await look(db)).seen('sealed').fact).to.match(/^the newest \d+ encrypted values can be decrypted$/);
    // The bytes of another row, a changed byte, a value that is none, and a key that is missing.
    for (const [change, where] of [
      [`update senders set name = (select max(name) from senders)`, '1 in senders.name'],
      [`update messages set content = set_byte(content, 40, 255 - get_byte(content, 40))`, '2 in messages.content'],
      [`update attempts set reply = 'x'`, '4 in attempts.reply'],
      [
        `update messages set client_address = overlay(client_address placing 'k9' from 3)`,
        '2 in messages.client_address',
      ],
    ] as const) {
      await db.query(change);
      const { failing, seen } = await look(db);
      expect(failing).to.deep.equal(['sealed']);
      expect(seen('sealed').fact).to.include(where);
      expect(seen('sealed').fix).to.include('ruffinweb encryption status');
    }
  });

  it('warns about files with secrets that others can read', async () => {
    await using db = await createDatabase();
    await using own = await temporaryFolder();
    for (const name of ['encryption.keys', 'postgres.password', 'SMTP_PASSWORD', '.env']) {
      const path = join(own.path, name);
      const secrets = { SMTP_PASSWORD: join(own.path, 'SMTP_PASSWORD') };
      await writeFile(path, `k1:${Buffer.alloc(32).toString('base64')}`);
      const modes = [
        [0o640, 'ok'],
        [0o644, 'warn'],
        [0o600, 'ok'],
        [0o660, 'warn'],
        [0o602, 'warn'],
      ] as const;
      for (const [mode, status] of name === '.env' ? modes : modes.slice(0, 2)) {
        await chmod(path, mode);
        const { seen } = await look(db, { DATA_DIR: own.path }, { secrets, file: join(own.path, '.env') });
        expect(seen('files'), `${name} ${mode.toString(8)}`).to.include({ status });
        if (status === 'warn') expect(seen('files').fix).to.equal(`chmod 600 ${path}`);
      }
      await chmod(path, 0o600);
    }
  });

  it('warns about a database that is not in UTF-8', async () => {
    await using db = await createDatabase();
    const name = `${db.name}_latin`;
    await db.query(`create database ${name} encoding 'LATIN1' locale 'C' template template0`);
    const url = Object.assign(new URL(db.url), { pathname: name }).href;
    const { stdout } = await runHere(['health', '--json'], { url }, { settings: { DATA_DIR: folder.path } });
    await db.query(`drop database ${name} with (force)`);
    const [database] = (JSON.parse(stdout) as Health).checks;
    expect(database).to.include({ name: 'database', status: 'warn' });
    expect(database?.fact).to.include('its encoding is LATIN1');
    expect(database?.fix).to.include(`ENCODING 'UTF8'`);
  });

  it('checks database settings that prevent data loss', async () => {
    await using db = await createDatabase();
    await db.query(
      `do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$`,
    );
    const { failing, seen } = await look(db);
    expect(failing).to.deep.equal(['durability']);
    expect(seen('durability').fix).to.include('synchronous_commit');
  });
});
