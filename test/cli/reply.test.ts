import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type MailingContext, openMailingContext } from '../../src/mailing-context.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, deliverTo, mailOutcomes, settleDue } from '../support/build.ts';
import { programPath } from '../support/built-program.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { TerminalProgram } from '../support/terminal-program.ts';
import { runHere } from './terminal.ts';

const settings = { MAIL_FROM: 'Site <site@site.test>', NOTIFY_TO: 'owner@site.test, second@site.test' };

describe('messages reply', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let context: MailingContext;
  let message: { id: string; receipt: string };

  before(async () => {
    db = await createDatabase();
    await db.liftHourlyLimits();
    smtp = await startSmtpServer();
    context = await openMailingContext(await openTestContext(db, settings));
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await smtp[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    smtp.reset();
    await db.empty();
    await db.query('truncate reply_days, erasures');
    await build({ name: 'Ada Byron', subject: 'Re: opening hours' });
  });

  async function build(changes: Record<string, unknown>): Promise<void> {
    const [stored] = await buildMessages(context, 1, () => changes);
    message = { id: stored?.id ?? '', receipt: stored?.receipt ?? '' };
  }
  const run = (args: string[], options: Parameters<typeof runHere>[2] = {}) =>
    runHere(['messages', 'reply', ...args], db, { settings, ...options });
  const reply = (text: string, ...args: string[]) => run([message.receipt, ...args], { input: text });
  const here = (...args: string[]) => runHere(args, db, { settings });
  const deliver = () => deliverTo(smtp, context);
  /** The mails that were delivered since the last call, by recipient. */
  async function mails() {
    const parsed = await Promise.all(smtp.messages.map(async (it) => [it.to[0], await it.parsed(), it.raw] as const));
    smtp.reset();
    return new Map(parsed.map(([to, mail, raw]) => [to, { ...mail, raw }]));
  }
  const replies = () => db.query<{ state: string }>(`select state from emails where kind = 'reply' order by id`);

  it('joins the sender’s thread, and its copies those of the owners', async () => {
    await deliver();
    const before = await mails();
    const { code, stdout } = await reply('\nYes, we are open.\n.\nYours\n\n');
    expect({ code, stdout }).to.deep.equal({
      code: 0,
      stdout: 'reply to ada@example.test queued, with a copy to owner@site.test, second@site.test\n',
    });
    await deliver();
    const after = await mails();
    expect([...after.keys()].sort()).to.deep.equal(['ada@example.test', 'owner@site.test', 'second@site.test']);
    const sent = after.get('ada@example.test');
    const autoReplyId = before.get('ada@example.test')?.messageId;
    expect(sent?.from).to.deep.include({ name: 'Site', address: 'site@site.test' });
    expect(sent?.to?.map((it) => it.address)).to.deep.equal(['ada@example.test']);
    expect(sent?.replyTo?.map((it) => it.address)).to.deep.equal(['owner@site.test', 'second@site.test']);
    expect(sent?.subject).to.equal(`Re: opening hours (${message.receipt})`);
    expect(sent?.text).to.equal('Yes, we are open.\n.\nYours\n');
    expect(sent?.html).to.equal(undefined);
    expect(sent).to.include({ inReplyTo: autoReplyId, references: autoReplyId });
    expect(sent?.raw).to.not.match(/^(?:auto-submitted|precedence|x-auto-response-suppress|list-)/im);
    for (const owner of ['owner@site.test', 'second@site.test']) {
      const [notification, copy] = [before.get(owner), after.get(owner)];
      expect(copy?.messageId, owner).to.equal(sent?.messageId);
      expect(copy?.inReplyTo).to.equal(notification?.messageId);
      // RFC 5322 §3.6.4: the references of the mail that it answers, and that mail.
      const references = [notification?.references, autoReplyId, notification?.messageId].join(' ');
      expect(copy?.references).to.equal(references);
      expect(copy?.subject).to.equal(sent?.subject);
      expect(copy?.text).to.include('Copy of the reply to ada@example.test:').and.include('Yes, we are open.');
      expect(copy?.replyTo?.[0]?.address).to.equal('ada@example.test');
      expect(copy?.raw).to.not.match(/^auto-submitted/im);
    }
  });

  it('names no auto-reply that was not sent, and the digest that named the message', async () => {
    await db.query(`update emails set state = 'cancelled' where kind = 'auto-reply'`);
    const digest = randomUUID();
    await db.query(
      `insert into emails (id, kind, state, message_id, recipient, due_at, internet_message_id, created_at, digest_id)
       select gen_random_uuid(), kind, 'sent', message_id, recipient, due_at, '<digest@site.test>', now(), $1
       from emails where recipient = 'owner@site.test'`,
      [digest],
    );
    await db.query(
      `update emails set state = 'cancelled', failure = 'digest', digest_id = $1
       where recipient = 'owner@site.test' and internet_message_id <> '<digest@site.test>'`,
      [digest],
    );
    await reply('Hello');
    await deliver();
    const sent = await mails();
    expect(sent.get('ada@example.test')).to.not.have.any.keys('inReplyTo', 'references');
    expect(sent.get('owner@site.test')).to.include({ inReplyTo: '<digest@site.test>' });
  });

  it('has a subject without one, and no copy with --no-copy', async () => {
    await db.empty();
    await build({ subject: undefined });
    expect((await reply('Hello', '--no-copy')).stdout).to.equal('reply to ada@example.test queued\n');
    await db.query(`delete from emails where kind <> 'reply'`);
    await deliver();
    const [[to, mail] = [], ...others] = [...(await mails())];
    expect([to, mail?.subject, others]).to.deep.equal([
      'ada@example.test',
      `Re: your message (${message.receipt})`,
      [],
    ]);
  });

  it('--dry-run prints the mail and stores nothing; --mask hides people', async () => {
    const { stdout } = await reply('Dear Ada,\nyes.', '--dry-run');
    expect(stdout).to.match(/^From +Site <site@site\.test>\nTo +ada@example\.test\nReply-To +owner@site\.test, second/);
    expect(stdout).to.include(`Re: opening hours (${message.receipt})`).and.include('│ Dear Ada,\n│ yes.\n');
    const masked = await reply('Dear Ada,\nyes.', '--dry-run', '--mask', '--json');
    expect(masked.stdout).to.not.match(/Ada|ada@|owner@/);
    expect(JSON.parse(masked.stdout)).to.include({ dryRun: true });
    expect(await replies()).to.deep.equal([]);
    expect((await reply('Hello', '--mask')).stdout)
      .to.include('a***@example.test')
      .and.not.include('ada@');
  });

  it('reads a file or stdin; a text that is empty, too long or not UTF-8 sends nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'reply-test-'));
    const file = (text: string | Buffer) => {
      writeFileSync(join(folder, 'text'), text);
      return ['--text-file', join(folder, 'text')];
    };
    for (const [given, code, said] of [
      [reply(''), 2, 'the text is empty: nothing was sent'],
      [reply(' \n\t\n'), 2, 'the text is empty: nothing was sent'],
      [reply('x'.repeat(20_001)), 2, 'more than 20000 characters'],
      [reply('x'.repeat(1_000_001)), 2, 'the text has more than 20000 characters'],
      [run([message.receipt], { input: Buffer.from('caf\xe9', 'latin1') }), 2, 'stdin, line 1: is not UTF-8'],
      [run([message.receipt, ...file(Buffer.from('caf\xe9', 'latin1'))]), 2, 'line 1: is not UTF-8'],
      [run([message.receipt, '--text-file', join(folder, 'none')]), 1, 'none cannot be used'],
      [run(['RW-0000000000'], { input: 'Hello' }), 1, 'there is no message RW-0000000000'],
    ] as const) {
      const screen = await given;
      expect(screen.stderr).to.include(said);
      expect(screen.code, said).to.equal(code);
    }
    expect(await replies()).to.deep.equal([]);
    expect((await run([message.id, '--no-copy', ...file('\ufeffcaf\u00e9\r\n')])).code).to.equal(0);
    expect((await reply('\u{1f600}'.repeat(20_000), '--no-copy')).code).to.equal(0);
    expect(await replies()).to.have.lengthOf(2);
    rmSync(folder, { recursive: true });
  });

  it('answers no held message, and blocked or erased senders only with --yes', async () => {
    await here('messages', 'hold', message.receipt);
    const held = await reply('Hello', '--yes');
    expect(held.stderr).to.equal(
      `message ${message.receipt} is held: if it is no spam, release it first with "ruffinweb messages release"`,
    );
    await here('messages', 'release', message.receipt);
    for (const [sql, why] of [
      ['update senders set blocked_at = now()', 'is from a blocked sender'],
      ['insert into erasures select address_index, now() from senders', 'is from somebody who was erased before'],
    ] as const) {
      await db.query(sql);
      const { code, stderr } = await reply('Hello');
      expect({ code, stderr }).to.deep.equal({
        code: 1,
        stderr: `message ${message.receipt} ${why}: pass --yes to write anyway`,
      });
      await db.query('update senders set blocked_at = null');
    }
    expect(await replies()).to.deep.equal([]);
    await db.query('update senders set blocked_at = now()');
    expect((await reply('Hello', '--yes', '--no-copy')).code).to.equal(0);
    await deliver();
    expect(await replies(), 'a block does not cancel it either').to.deep.equal([{ state: 'sent' }]);
  });

  it('reaches a mailbox that wants no auto-replies, however late', async () => {
    await here('senders', 'block', '--email', 'ada@example.test', '--replies');
    await reply('Hello', '--no-copy');
    await db.query(`update emails set created_at = now() - interval '2 days'`);
    await deliver();
    expect(await replies()).to.deep.equal([{ state: 'sent' }]);
  });

  it('is stored once, also if two run it at once; --again repeats it', async () => {
    const rows = await db.lockRows('messages');
    const running = [reply('Hello', '--no-copy'), reply('Hello\n', '--no-copy', '--json')];
    await db.waitingForLocks(2).finally(() => rows.release());
    const both = await Promise.all(running);
    expect(both.map((it) => it.code)).to.deep.equal([0, 0]);
    await deliver();
    const third = await reply('Hello', '--no-copy');
    expect(third.stdout).to.equal('the same reply was written before (sent): pass --again to send it twice\n');
    expect(await replies()).to.have.lengthOf(1);
    await reply('Hello', '--no-copy', '--again');
    await reply('Another one', '--no-copy');
    expect(await replies()).to.have.lengthOf(3);
  });

  it('with an unknown outcome is sent again only on request, with its Message-ID', async () => {
    await reply('Hello', '--no-copy');
    await settleDue(context, ({ kind }) => (kind === 'reply' ? mailOutcomes.unknown : mailOutcomes.accepted));
    const [row] = await db.query<{ id: string; failure: string; internet_message_id: string }>(
      `select id, failure, internet_message_id from emails where kind = 'reply' and state = 'failed'`,
    );
    expect(row?.failure).to.equal('outcome-unknown');
    expect((await here('emails', 'show', row?.id ?? '')).stderr).to.include(`resend ${row?.id} --again`);
    await here('emails', 'resend', '--failed', '--yes');
    expect((await here('emails', 'resend', row?.id ?? '')).stdout).to.include('may have arrived: needs --again');
    expect(await replies()).to.deep.equal([{ state: 'failed' }]);
    // By the receipt too: the auto-reply and the notifications of the message were sent.
    expect((await here('emails', 'resend', message.receipt, '--again')).stderr).to.match(/^\n?1 email queued$/m);
    await deliver();
    const sent = (await mails()).get('ada@example.test');
    expect([sent?.messageId, sent?.text]).to.deep.equal([row?.internet_message_id, 'Hello\n']);
    // Sent for good: a copy, whose text is encrypted for its own row.
    await here('emails', 'resend', row?.id ?? '', '--again');
    await deliver();
    expect((await mails()).get('ada@example.test')?.text).to.equal('Hello\n');
  });

  it('of a lost worker is due again if nothing was handed over, else failed', async () => {
    for (const [mark, state] of [
      ['lease_token', 'queued'],
      ['null', 'failed'],
    ] as const) {
      await db.query(`delete from emails`);
      await reply(`Hello ${state}`, '--no-copy');
      await claimDue(openScope(context), 5);
      await db.query(`update emails set unsent_token = ${mark}, due_at = now() - interval '1 second'`);
      await claimDue(openScope(context), 5);
      expect(await replies()).to.deep.equal([{ state }]);
    }
    // Nor does a hold and its release send it.
    await db.query(`delete from emails`);
    await reply('Hello held', '--no-copy');
    await claimDue(openScope(context), 5);
    await db.query(`update emails set unsent_token = null, due_at = now() - interval '1 second'`);
    await here('messages', 'hold', message.receipt);
    await here('messages', 'release', message.receipt);
    expect(await replies()).to.deep.equal([{ state: 'failed' }]);
  });

  it('waits while its message is held; a cancelled one can be sent again', async () => {
    await reply('Hello', '--no-copy');
    await here('messages', 'hold', message.receipt);
    expect(await replies()).to.deep.equal([{ state: 'held' }]);
    await here('messages', 'release', message.receipt);
    expect(await replies()).to.deep.equal([{ state: 'queued' }]);
    const [row] = await db.query<{ id: string }>(`select id from emails where kind = 'reply'`);
    await here('emails', 'cancel', row?.id ?? '');
    expect((await here('emails', 'resend', row?.id ?? '', '--again')).stdout).to.include('queued');
    expect(await replies()).to.deep.equal([{ state: 'cancelled' }, { state: 'queued' }]);
  });

  it('is shown and exported with its message, and erased with it', async () => {
    await reply('See you, Ada, at bob@example.test');
    const shown = (await here('messages', 'show', message.receipt)).stdout;
    expect(shown).to.match(/reply of .*, queued\n│ See you, Ada/);
    expect(shown.match(/See you/g)).to.have.lengthOf(1);
    const masked = (await here('messages', 'show', message.receipt, '--mask')).stdout;
    expect(masked).to.include('See you, A***, at b***@example.test');
    const exported = JSON.parse((await here('senders', 'export', '--email', 'ada@example.test')).stdout);
    expect(exported.messages[0].emails.map((it: { text: string | null }) => it.text)).to.include(
      'See you, Ada, at bob@example.test',
    );
    const [row] = await db.query<{ id: string }>(
      `select id from emails where kind = 'reply' and sender_id is not null`,
    );
    expect((await here('emails', 'show', row?.id ?? '', '--mail')).stdout).to.include('See you, Ada');
    expect((await here('emails', 'list', '--kind', 'reply', '--json')).stdout.match(/"kind": "reply"/g)).to.have.length(
      3,
    );
    await here('senders', 'erase', '--email', 'ada@example.test', '--yes');
    expect(await db.count('emails')).to.equal(0);
  });

  it('that cannot be decrypted is still shown as a reply', async () => {
    await reply('Hello');
    await db.query(`update emails set content = 'damaged' where kind = 'reply'`);
    const { stdout } = await here('messages', 'show', message.receipt);
    expect(stdout.match(/reply of .*, queued\n│ \(cannot be opened\)/g)).to.have.lengthOf(1);
  });

  it('holds a message back from retention while it waits', async () => {
    await db.query('update forms set retention_days = 30');
    await reply('Hello', '--no-copy');
    await db.query(`update emails set state = 'sent' where kind <> 'reply'`);
    await db.age(message.id, 400);
    await here('purge');
    expect(await db.count('messages')).to.equal(1);
    await db.query(`update emails set state = 'sent' where kind = 'reply'`);
    await here('purge');
    expect([await db.count('messages'), await db.count('emails')]).to.deep.equal([0, 0]);
    await db.query('update forms set retention_days = null');
  });

  describe('in an editor', () => {
    let folder: string;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'editor-test-'));
      mkdirSync(join(folder, 'tmp'));
      process.env.TMPDIR = join(folder, 'tmp');
    });
    afterEach(() => {
      delete process.env.TMPDIR;
      rmSync(folder, { recursive: true });
    });

    /** @param script gets the file's path as `$1`. */
    const editor = (script: string) => {
      writeFileSync(join(folder, 'editor.sh'), script);
      return `sh ${folder}/editor.sh`;
    };
    const typing = (text: string) => `echo '${text}' | cat - "$1" > ${folder}/new; cat ${folder}/new > "$1"`;
    const edit = (script: string, ...args: string[]) =>
      run([message.receipt, ...args], { columns: 200, env: { EDITOR: editor(script) } });
    const left = () => readdirSync(join(folder, 'tmp'), { recursive: true, encoding: 'utf8' });

    it('sends what stands above the cut line, and leaves no file', async () => {
      const script = `cp "$1" ${folder}/seen; stat -c %a "$1" "$(dirname "$1")" > ${folder}/modes; ${typing('Yes, Ada.')}`;
      const command = `${process.execPath} ${programPath()} messages reply ${message.receipt} --no-copy`;
      const variables = { DATABASE_URL: db.url, EDITOR: editor(script), TMPDIR: join(folder, 'tmp') };
      const terminal = new TerminalProgram(command, { ...settings, ...variables });
      expect(await terminal.type(''), terminal.output).to.equal(0);
      expect(terminal.output.trim()).to.match(
        new RegExp(
          `^reply to ada@example.test queued\\s+See whether it left: ruffinweb emails show ${message.receipt}$`,
        ),
      );
      const seen = readFileSync(join(folder, 'seen'), 'utf8');
      expect(seen).to.match(/^\n\n# -+ >8 -+\n/);
      expect(seen)
        .to.include('# Saving sends it; leave it empty')
        .and.match(/\n{7}$/)
        .and.not.match(/^#$/m);
      expect(seen).to.include('# Ada Byron, ada@example.test wrote').and.include('\n> Hello there\n');
      expect(readFileSync(join(folder, 'modes'), 'utf8')).to.equal('600\n700\n');
      expect(left()).to.deep.equal([]);
      await db.query(`delete from emails where kind <> 'reply'`);
      await deliver();
      expect((await mails()).get('ada@example.test')?.text).to.equal('Yes, Ada.\n');
    });

    it('keeps a text that the database refuses, and sends nothing without one', async () => {
      const empty = await edit('true');
      expect(empty.code).to.equal(1);
      expect(empty.stderr).to.include('the text is empty: nothing was sent');
      expect(left()).to.deep.equal([]);

      const full = `begin raise exception 'full' using errcode = '53100'; end`;
      await db.query(`create function refuse() returns trigger language plpgsql as $$${full}$$`);
      await db.query('create trigger refuse before insert on emails for each row execute function refuse()');
      const { code, stderr } = await edit(typing('Long work'));
      await db.query('drop function refuse cascade');
      expect(code, stderr).to.equal(1);
      expect(stderr).to.include('the disk of the database is full');
      const path = /kept in (\S+)/.exec(stderr)?.[1] ?? '';
      expect(stderr).to.include(`messages reply ${message.receipt} --text-file ${path}`);
      expect(readFileSync(path, 'utf8').trim()).to.equal('Long work');
      expect(statSync(path).mode & 0o777).to.equal(0o600);
      expect((await run([message.receipt, '--text-file', path])).code).to.equal(0);
    });

    it('keeps a text without its cut line, of a failed editor and of a dry run', async () => {
      for (const [script, said, ...args] of [
        [`echo 'No line' > "$1"`, 'the line with >8 is gone'],
        [`${typing('Text')}; exit 3`, 'ended with exit code 3: nothing was sent'],
        [typing('Text'), 'kept in', '--dry-run'],
      ] as const) {
        expect((await edit(script, ...args)).stderr)
          .to.include(said)
          .and.include('kept in');
      }
      expect(left().filter((it) => it.endsWith('.txt'))).to.have.lengthOf(3);
      expect((await edit('exit 127')).stderr).to.include('set VISUAL or EDITOR');
      expect(await replies()).to.deep.equal([]);
    });
  });
});
