import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { runHere } from '../cli/terminal.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase } from '../support/database.ts';
import { ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { startSmtpServer } from '../support/smtp-server.ts';

/** Neither needs a database. */
const nowhere = { DATABASE_URL: 'postgresql://u:p@127.0.0.1:1/x' };

const run = (args: readonly string[], settings: Settings) => runHere(args, { url: nowhere.DATABASE_URL }, { settings });

describe('emails preview', () => {
  it('shows each kind as text, or writes its HTML to a file', async () => {
    await using folder = await temporaryFolder();
    const settings = { DATA_DIR: folder.path };
    const summary = await run(['emails', 'preview', 'held-summary'], settings);
    expect(summary.stderr).to.equal('\nIt has these links once PUBLIC_URL is set.\n');
    for (const kind of ['notification', 'auto-reply', 'held-summary']) {
      const text = await run(['emails', 'preview', kind], { ...settings, PUBLIC_URL: 'https://forms.site.test' });
      expect(text).to.include({ code: 0, stderr: '' });
      expect(text.stdout)
        .to.match(/^Subject {2}.*/)
        .and.include('RW-0000000000');
      const file = join(folder.path, `${kind}.html`);
      const html = await run(['emails', 'preview', kind, '--html', file], settings);
      expect(html).to.include({ code: 0, stdout: '' });
      expect(await readFile(file, 'utf8'))
        .to.match(/^<!doctype html>/i)
        .and.include('RW-0000000000');
    }
    expect((await run(['emails', 'preview', 'nonsense'], settings)).code).to.equal(2);
    if (existsSync('/dev/full')) {
      const full = await run(['emails', 'preview', 'auto-reply', '--html', '/dev/full'], settings);
      expect(full).to.include({ code: 1, stdout: '' });
      expect(full.stderr).to.match(/^a file cannot be written: ENOSPC/);
    }
    for (const file of [join(folder.path, 'nothing', 'x.html'), folder.path]) {
      const unwritten = await ruffinweb(['emails', 'preview', 'auto-reply', '--html', file], settings);
      expect(unwritten).to.include({ code: 1, stdout: '' });
      expect(unwritten.stderr)
        .to.match(/^ruffinweb: \S+ cannot be used: E(NOENT|ISDIR): [^\n]*\n$/)
        .and.include(file);
    }
  });

  it('shows own templates, with file and line of an error', async () => {
    await using folder = await temporaryFolder();
    const settings = { DATA_DIR: folder.path };
    const template = join(folder.path, 'templates', 'auto-reply.text.liquid');
    await mkdir(join(folder.path, 'templates'));
    await writeFile(template, 'Our own words, {{ receipt }}');
    expect((await run(['emails', 'preview', 'auto-reply'], settings)).stdout).to.include(
      '│ Our own words, RW-0000000000',
    );
    await writeFile(template, 'one\n{{ message }}');
    const wrong = await run(['emails', 'preview', 'auto-reply'], settings);
    expect(wrong.code).to.equal(2);
    expect(wrong.stderr).to.include(`${template}, line 2: unknown variable "message"`);
  });
});

describe('emails preview --form', () => {
  it("shows the form's labels, words and templates, in each language", async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    const settings = { DATA_DIR: folder.path, MAIL_FROM: 'Das Haus <haus@site.test>' };
    const here = (...args: string[]) => runHere(['emails', 'preview', ...args], db, { settings });
    const fields = [
      { name: 'name', type: 'text', label: { en: 'Guest', de: 'Gast' } },
      { name: 'contact', type: 'email', label: { de: 'Ihre E-Mail' } },
      { name: 'coming', type: 'checkbox', label: { en: 'Coming', de: 'Ich komme' } },
      { name: 'meal', type: 'choice', choices: ['Fisch', 'Reis'] },
      { name: 'days', type: 'choices', choices: ['Fr', 'Sa', 'So'] },
      { name: 'seats', type: 'number' },
    ];
    const words = { autoReplyText: { en: 'See you', de: 'Bis bald, {site}' }, notificationSubject: '{sender}: {form}' };
    await runHere(['forms', 'add', 'feier', '--name', 'Fest', '--language', 'auto'], db);
    await db.query('update forms set fields = $1, words = $2 where slug = $3', [
      ...[JSON.stringify(fields), JSON.stringify(words), 'feier'],
    ]);
    const german = await here('notification', '--form', 'feier', '--language', 'de');
    expect(german).to.include({ code: 0, stderr: '' });
    expect(german.stdout).to.include('Subject  Ada: Fest\n').and.include('│ Ada hat ein Formular ausgefüllt\n');
    for (const line of [
      'Gast: +Ada',
      'Ihre E-Mail: +ada@example.com',
      'Ich komme: ja',
      'Meal: Fisch',
      'Days: Fr, Sa',
      'Seats: 2',
    ]) {
      expect(german.stdout).to.match(new RegExp(`^│ ${line}$`, 'm'));
    }
    expect(german.stdout.match(/ada@example\.com/g), 'once').to.have.lengthOf(1);
    expect((await here('notification', '--form', 'feier')).stdout)
      .to.match(/^│ Guest: +Ada$/m)
      .and.match(/^│ Coming: yes$/m);
    expect((await here('auto-reply', '--form', 'feier', '--language', 'de')).stdout).to.include(
      '│ Bis bald, Das Haus\n',
    );
    await mkdir(join(folder.path, 'templates', 'feier'), { recursive: true });
    await writeFile(join(folder.path, 'templates', 'feier', 'digest.subject.liquid'), 'Own {{ count }}');
    await writeFile(
      join(folder.path, 'templates', 'feier', 'auto-reply.text.liquid'),
      '{{ t.thanks }} | {{ own_text }}',
    );
    expect((await here('digest', '--form', 'feier')).stdout).to.match(/^Subject {2}Own 2\n/);
    expect((await here('auto-reply', '--form', 'feier')).stdout).to.include('│ Thank you for your message | See you\n');
    expect((await here('auto-reply', '--language', 'de')).stdout).to.include('│ Vielen Dank');
    const unknown = await here('auto-reply', '--form', 'nobody');
    expect(unknown.code).to.not.equal(0);
    expect(unknown.stderr).to.include('there is no form "nobody"');
    expect((await here('auto-reply', '--language', 'fr')).code).to.equal(2);
  });
});

describe('emails test', () => {
  it('sends one mail and reports each step', async () => {
    await using smtp = await startSmtpServer({ auth: { user: 'site', password: 'p4ss' } });
    const settings = {
      ...nowhere,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      SMTP_USER: 'site',
      SMTP_PASSWORD: 'p4ss',
      MAIL_FROM: 'Site <site@site.test>',
    };
    const good = await ruffinweb(['emails', 'test', '--to', 'me@example.test'], settings);
    expect(good.code).to.equal(0);
    expect(
      good.stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split(/ +/).slice(0, 2).join(' ')),
    ).to.deep.equal(['✓ connect', '✓ TLS', '✓ login', '✓ MAIL', '✓ RCPT', '✓ DATA', '✓ accepted']);
    expect(smtp.messages.map((it) => [it.from, ...it.to])).to.deep.equal([['site@site.test', 'me@example.test']]);
    const headers = new Map((await smtp.messages[0]?.parsed())?.headers.map((it) => [it.key, it.value]));
    expect(headers.get('auto-submitted')).to.equal('auto-generated');

    smtp.answer('rcpt', '550 5.1.1 no such\u001b[31m user');
    const refused = await run(['emails', 'test', '--to', 'me@example.test', '--json'], settings);
    expect(refused.code).to.equal(1);
    const { steps, outcome } = JSON.parse(refused.stdout);
    expect(outcome).to.include({ result: 'refused', code: 550 });
    expect(steps.at(-1)).to.deep.include({ step: 'rcpt', isOk: false });

    const wrong = await run(['emails', 'test', '--to', 'me@example.test'], { ...settings, SMTP_PASSWORD: 'no' });
    expect(wrong.code).to.equal(1);
    expect(wrong.stdout).to.match(/✗ login {5}535/);
    expect(wrong.stderr).to.include('SMTP_PASSWORD');
    expect(`${good.stdout}${good.stderr}`).to.not.include('p4ss');
  });

  it('says hello with a full host name, or the configured one', async () => {
    await using smtp = await startSmtpServer();
    const settings = { SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), MAIL_FROM: 'site@site.test' };
    await run(['emails', 'test', '--to', 'me@example.test'], settings);
    expect(smtp.commands[0]).to.match(/^EHLO [^.[]+\.[^[]+$/);
    await run(['emails', 'test', '--to', 'me@example.test'], { ...settings, SMTP_HELLO: 'forms.example.test' });
    expect(smtp.commands).to.include('EHLO forms.example.test');
  });

  it('tells a silent mail server from a busy one', async () => {
    const smtp = await startSmtpServer();
    const settings = { SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), MAIL_FROM: 'site@site.test' };
    const test = () => run(['emails', 'test', '--to', 'me@example.test'], settings);
    const nothing = `No mail server answers at ${smtp.host}:${smtp.port}: check SMTP_HOST and SMTP_PORT`;
    smtp.answer('greeting', '421 4.3.2 busy', { times: 1 });
    const busy = await test();
    expect(busy.stderr).to.include('says not now');
    smtp.answer('greeting', 'drop', { times: 1 });
    const mute = await test();
    await smtp[Symbol.asyncDispose]();
    const away = await test();
    for (const it of [mute, away]) expect(it.stderr).to.include(nothing).and.to.not.include('not now');
    expect(away.stdout).to.include('ECONNREFUSED');
    expect([busy.code, mute.code, away.code]).to.deep.equal([1, 1, 1]);
  });

  it('names the mail folder if it cannot be written to', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    await buildMessages(context, 1);
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, 'mail'), 'no folder');
    const settings = { DATABASE_URL: db.url, DATA_DIR: folder.path };
    const delivered = await ruffinweb(['deliver', '--once'], settings);
    const told = await Promise.all([
      run(['emails', 'test', '--to', 'me@example.test'], settings),
      runHere(['emails', 'list'], db, { settings }),
      runHere(['health'], db, { settings }),
    ]);
    const log = delivered.stderr.split('\n').find((line) => line.includes('"level":"error"'));
    for (const text of [log, ...told.map((it) => `${it.stdout}${it.stderr}`)]) {
      expect(text)
        .to.include(`mail cannot be written to ${join(folder.path, 'mail')}`)
        .and.include('set DATA_DIR');
      expect(text).to.not.include('SMTP_USER').and.to.not.include('mail server');
    }
  });

  it('writes a file without a mail server; accepts one address', async () => {
    await using folder = await temporaryFolder();
    const settings = { DATA_DIR: folder.path };
    const written = await run(['emails', 'test', '--to', 'me@example.test'], settings);
    expect(written).to.include({ code: 0 });
    expect(await readdir(join(folder.path, 'mail'))).to.have.lengthOf(1);
    for (const to of ['a@b.test, c@d.test', 'nonsense', '']) {
      const refused = await run(['emails', 'test', '--to', to], settings);
      expect(refused.code, to).to.equal(2);
      expect(refused.stderr, 'nothing is said of sending').to.match(/^"[^"\n]*" is not an e-mail address\n?$/);
    }
  });
});
