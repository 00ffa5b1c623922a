import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createFileMailer } from '../../src/mail/files.ts';
import { hasMailbox } from '../../src/server/mailbox-routes.ts';
import { browserAccept, clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/program.ts';
import { startServerHere } from '../support/server-here.ts';
import { until } from '../support/until.ts';

describe('/mailbox', () => {
  let db: TestDatabase;
  before(async () => {
    db = await createDatabase();
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });

  it('lists the mails that were written, and shows text, headers and the HTML in a sandbox', async () => {
    await using folder = await temporaryFolder();
    await using server = await startServerHere({ DATABASE_URL: db.url, DATA_DIR: folder.path }, { deliver: true });
    const http = clientOf(server.url);
    expect((await http.get('/mailbox')).text).to.include('No mail yet');
    await http.post('/api/messages', submission({ message: '<script>alert(1)</script>', name: '<b>x</b>' }));
    const files = await until('two mails are written', async () => {
      const names = await readdir(join(folder.path, 'mail')).catch(() => []);
      return names.filter((it) => it.endsWith('.eml')).length === 2 && names.filter((it) => it.endsWith('.eml'));
    });
    const list = await http.get('/mailbox', { Accept: browserAccept });
    expect(list.status).to.equal(200);
    expect(list.text).to.include('ada@example.test').and.include('&lt;b&gt;x').and.not.include('<b>x');
    for (const file of files) expect(list.text).to.include(`href="/mailbox/${file}"`);

    const notice = files.find((it) => it.includes('notification')) ?? '';
    const one = await http.get(`/mailbox/${notice}`);
    expect(one.text)
      .to.include(`src="/mailbox/${notice}/html"`)
      .and.match(/<iframe[^>]* sandbox /);
    expect(one.text).to.include('&lt;script&gt;').and.not.include('<script');
    expect(one.text).to.include('Auto-Submitted');
    expect(one.headers.get('content-security-policy'))
      .to.include("default-src 'none'")
      .and.include("frame-src 'self'")
      .and.not.include('script');
    const html = await http.get(`/mailbox/${notice}/html`);
    expect(html.headers.get('content-security-policy')).to.match(/^sandbox; default-src 'none'/);
    expect(html.headers.get('content-security-policy')).to.not.include('allow-scripts');
    expect(html.headers.get('x-frame-options')).to.equal('SAMEORIGIN');
    expect(html.text).to.include('wrote to you');
    expect((await http.get('/')).headers.get('x-frame-options'), 'other pages are as ever').to.equal('DENY');

    const thanks = await http.get('/thanks', { Accept: browserAccept });
    expect(thanks.text).to.include('href="/mailbox"');
    expect(server.output).to.match(/mailbox +http:\/\/[\d.]+:\d+\/mailbox/);
  });

  it('shows no other file, whatever its name', async () => {
    await using folder = await temporaryFolder();
    await using server = await startServerHere({ DATABASE_URL: db.url, DATA_DIR: folder.path }, { deliver: true });
    const http = clientOf(server.url);
    await http.post('/api/messages', submission({ email: 'bob@example.test' }));
    const mail = join(folder.path, 'mail');
    const [file = ''] = await until('a mail is written', async () => {
      const names = (await readdir(mail).catch(() => [])).filter((it) => it.endsWith('.eml'));
      return names.length > 0 && names;
    });
    await copyFile(join(mail, file), join(folder.path, file));
    await writeFile(join(mail, 'notes.eml'), 'Subject: secret\r\n\r\nsecret');
    for (const name of ['notes.eml', `..%2f${file}`, '..%2fencryption.keys', `${file}%00`, 'x'.repeat(300)]) {
      const answer = await http.get(`/mailbox/${name}`);
      expect(answer.status, name).to.be.oneOf([400, 404]);
      expect(answer.text).to.not.include('secret');
    }
    expect((await http.get('/mailbox')).text).to.not.include('secret');
  });

  it('is there for this machine alone: not for the network, and not by way of a proxy', async () => {
    await using folder = await temporaryFolder();
    await using server = await startServerHere({ DATABASE_URL: db.url, DATA_DIR: folder.path, HOST: '0.0.0.0' });
    const http = clientOf(server.url);
    for (const name of ['X-Forwarded-For', 'X-Real-IP', 'Forwarded', 'Via']) {
      const headers = { [name]: '127.0.0.1', Accept: browserAccept };
      expect((await http.get('/mailbox', headers)).status, name).to.equal(404);
      expect((await http.get('/thanks', headers)).text, name).to.not.include('/mailbox');
    }
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((it) => it?.family === 'IPv4' && !it.internal)?.address;
    // Whoever asks may write "localhost" into Host.
    const statusFrom = (host: string) =>
      new Promise((resolve, reject) => {
        const { port } = new URL(server.url);
        get({ host, port, path: '/mailbox', headers: { Host: 'localhost' } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        }).on('error', reject);
      });
    expect(await statusFrom('127.0.0.1')).to.equal(200);
    if (outside !== undefined) expect(await statusFrom(outside)).to.equal(404);
  });

  it('is not there in production even where mail went to files', () => {
    const mailer = createFileMailer('/nowhere');
    const parts = (production: boolean) => ({ mailer, config: { production } }) as Parameters<typeof hasMailbox>[0];
    expect(hasMailbox(parts(false))).to.equal(true);
    expect(hasMailbox(parts(true))).to.equal(false);
  });

  for (const [title, settings] of [
    [
      'in production',
      {
        NODE_ENV: 'production',
        PUBLIC_URL: 'https://forms.example.com',
        SMTP_HOST: '127.0.0.1',
        MAIL_FROM: 'a@example.com',
        NOTIFY_TO: 'b@example.com',
      },
    ],
    ['with a mail server', { SMTP_HOST: '127.0.0.1', MAIL_FROM: 'a@example.com' }],
  ] as const) {
    it(`is no route at all ${title}`, async () => {
      await using folder = await temporaryFolder();
      await using server = await startServerHere({
        DATABASE_URL: db.url,
        DATA_DIR: folder.path,
        SMTP_PORT: '1',
        ...settings,
      });
      const http = clientOf(server.url);
      expect((await http.get('/mailbox')).status).to.equal(404);
      expect((await http.get('/thanks', { Accept: browserAccept })).text).to.not.include('/mailbox');
      expect(server.output).to.not.include('/mailbox');
    });
  }
});
