import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { readConfig } from '../../src/config/read-config.ts';
import { hasMailbox } from '../../src/server/pages/mailbox-routes.ts';
import { browserAccept, type Client, clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { openHttpProxy } from '../support/http-proxy.ts';
import { type Settings, temporaryFolder } from '../support/program.ts';
import { type ServerHere, startServerHere } from '../support/server-here.ts';
import { until } from '../support/until.ts';

/** The key in the address that a server printed. */
const keyOf = (server: ServerHere): string =>
  /mailbox +http:\/\/localhost:\d+\/mailbox\?key=(\S+)/.exec(server.output)?.[1] ?? '';

/** The cookie a browser gets when it opens the printed address. */
async function unlock(server: ServerHere, through: Client = clientOf(server.url)): Promise<{ Cookie: string }> {
  const { status, headers } = await through.get(`/mailbox?key=${keyOf(server)}`);
  expect([status, headers.get('location')]).to.deep.equal([303, '/mailbox']);
  return { Cookie: (headers.get('set-cookie') ?? '').split(';')[0] ?? '' };
}

describe('/mailbox', () => {
  let db: TestDatabase;
  before(async () => {
    db = await createDatabase();
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });

  it('lists the written mails, and shows text, headers and sandboxed HTML', async () => {
    await using folder = await temporaryFolder();
    await using server = await startServerHere({ DATABASE_URL: db.url, DATA_DIR: folder.path }, { deliver: true });
    const http = clientOf(server.url);
    const cookie = await unlock(server);
    expect((await http.get('/mailbox', cookie)).text).to.include('No mail yet');
    await http.post('/api/messages', submission({ message: '<script>alert(1)</script>', name: '<b>x</b>' }));
    const files = await until('two mails are written', async () => {
      const names = await readdir(join(folder.path, 'mail')).catch(() => []);
      return names.filter((it) => it.endsWith('.eml')).length === 2 && names.filter((it) => it.endsWith('.eml'));
    });
    const list = await http.get('/mailbox', { ...cookie, Accept: browserAccept });
    expect(list.status).to.equal(200);
    expect(list.text).to.include('ada@example.test').and.include('&lt;b&gt;x').and.not.include('<b>x');
    expect(list.text).to.match(/<time datetime="\d{4}-[^"]+Z"[^>]*>(?:now|\d+ seconds? ago)<\/time>/);
    for (const file of files) expect(list.text).to.include(`href="/mailbox/${file}"`);

    const notice = files.find((it) => it.includes('notification')) ?? '';
    const one = await http.get(`/mailbox/${notice}`, cookie);
    expect(one.text)
      .to.include(`src="/mailbox/${notice}/html"`)
      .and.match(/<iframe[^>]* sandbox /);
    expect(one.text).to.include('&lt;script&gt;').and.not.include('<script');
    expect(one.text).to.include('Auto-Submitted');
    expect(one.headers.get('content-security-policy'))
      .to.include("default-src 'none'")
      .and.include("frame-src 'self'")
      .and.not.include('script');
    const html = await http.get(`/mailbox/${notice}/html`, cookie);
    expect(html.headers.get('content-security-policy')).to.match(/^sandbox; default-src 'none'/);
    expect(html.headers.get('content-security-policy')).to.not.include('allow-scripts');
    expect(html.headers.get('x-frame-options')).to.equal('SAMEORIGIN');
    expect(html.text).to.include('wrote to you');
    expect((await http.get('/')).headers.get('x-frame-options'), 'other pages are as ever').to.equal('DENY');

    const thanks = await http.get('/thanks', { Accept: browserAccept });
    expect(thanks.text).to.include('href="/mailbox"');
    expect(thanks.text).to.not.include(keyOf(server));
  });

  it('serves no other file, whatever its name', async () => {
    await using folder = await temporaryFolder();
    await using server = await startServerHere({ DATABASE_URL: db.url, DATA_DIR: folder.path }, { deliver: true });
    const http = clientOf(server.url);
    const cookie = await unlock(server);
    await http.post('/api/messages', submission({ email: 'bob@example.test' }));
    const mail = join(folder.path, 'mail');
    const [file = ''] = await until('a mail is written', async () => {
      const names = (await readdir(mail).catch(() => [])).filter((it) => it.endsWith('.eml'));
      return names.length > 0 && names;
    });
    await copyFile(join(mail, file), join(folder.path, file));
    await writeFile(join(mail, 'notes.eml'), 'Subject: secret\r\n\r\nsecret');
    for (const name of ['notes.eml', `..%2f${file}`, '..%2fencryption.keys', `${file}%00`, 'x'.repeat(300)]) {
      const answer = await http.get(`/mailbox/${name}`, cookie);
      expect(answer.status, name).to.be.oneOf([400, 404]);
      expect(answer.text).to.not.include('secret');
    }
    expect((await http.get('/mailbox', cookie)).text).to.not.include('secret');
  });

  describe('without the key', () => {
    let folder: Awaited<ReturnType<typeof temporaryFolder>>;
    let server: ServerHere;
    let http: Client;
    let file: string;
    let cookie: { Cookie: string };
    const start = (settings: Settings = {}) =>
      startServerHere({ DATABASE_URL: db.url, DATA_DIR: folder.path, ...settings }, { deliver: true });
    before(async () => {
      folder = await temporaryFolder();
      server = await start();
      http = clientOf(server.url);
      await http.post('/api/messages', submission({ message: 'For the owner alone' }));
      file = await until('a mail is written', async () =>
        (await readdir(join(folder.path, 'mail')).catch(() => [])).find((it) => it.endsWith('.eml')),
      );
      cookie = await unlock(server);
    });
    after(async () => {
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    });

    it('is closed: the same answer for every mail, existing or not', async () => {
      const key = keyOf(server);
      expect(Buffer.from(key, 'base64url').length).to.be.at.least(16);
      const [name] = cookie.Cookie.split('=');
      const asked: [path: string, cookie?: string][] = [
        ['/mailbox'],
        ['/MAILBOX/'],
        [`/mailbox/${file}`],
        [`/mailbox/${file}/html`],
        ['/mailbox/20261122-nothing.eml'],
        ['/mailbox?key='],
        [`/mailbox?key=${key.slice(1)}`],
        [`/mailbox?key=${key}x`],
        [`/mailbox?key=${key}&key=${key}`],
        [`/mailbox?key=${'\u00e4'.repeat(key.length)}`],
        ['/mailbox?key[]=x'],
        ['/mailbox', `${name}=`],
        ['/mailbox', `${name}=${key.slice(1)}`],
        ['/mailbox', `other=${key}`],
        ['/mailbox?key=wrong', cookie.Cookie],
      ];
      const answers = new Set<string>();
      for (const [path, given] of asked) {
        const headers = given === undefined ? {} : { Cookie: given };
        const { status, json, headers: told } = await http.get(path, headers);
        expect(told.get('set-cookie'), path).to.equal(null);
        answers.add(`${status} ${json.code} ${json.detail}`);
      }
      expect([...answers]).to.deep.equal([
        '403 mailbox-locked open the mailbox address that the server printed when it started',
      ]);
      expect((await http.send('/mailbox', { method: 'HEAD' })).status).to.equal(403);
      const page = await http.get('/mailbox', { Accept: browserAccept });
      expect(page.status).to.equal(403);
      expect(page.text).to.include('Open the mailbox address that the server printed when it started.');
      await until('the refusals are logged', () => server.log.includes('"problem":"mailbox-locked"'));
      expect(server.log).to.not.include(key);
    });

    it('is closed behind a plain proxy on this machine; the key opens it', async () => {
      await using proxy = await openHttpProxy(server.url, 'drops');
      const outside = clientOf(proxy.url);
      expect((await outside.get('/mailbox')).status).to.equal(403);
      expect((await outside.get(`/mailbox/${file}`)).status).to.equal(403);
      expect((await outside.get('/mailbox', await unlock(server, outside))).status).to.equal(200);
      const forwarded = { 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https' };
      expect((await http.get('/mailbox', { ...forwarded, ...cookie })).status).to.equal(200);
    });

    it('sets a protected cookie per port, valid until the next start', async () => {
      const { headers } = await http.get(`/mailbox?key=${keyOf(server)}`);
      const port = new URL(server.url).port;
      expect(headers.get('set-cookie')).to.equal(
        `ruffinweb-mailbox-${port}=${keyOf(server)}; path=/mailbox; samesite=strict; httponly`,
      );
      expect(headers.get('cache-control')).to.equal('no-store');
      await using other = await start({ PUBLIC_URL: `http://localhost:${port}` });
      expect(keyOf(other)).to.not.equal(keyOf(server));
      expect((await clientOf(other.url).get('/mailbox', cookie)).status).to.equal(403);
    });

    it('cannot be read by other origins, not even on this machine', async () => {
      for (const origin of ['http://localhost:5173', server.url, 'https://elsewhere.example', 'null']) {
        const asked = { Origin: origin, 'Access-Control-Request-Method': 'GET' };
        for (const path of ['/mailbox', '/Mailbox', `/mailbox?key=${keyOf(server)}`, `/mailbox/${file}/html`]) {
          for (const { headers } of [
            await http.get(path, { Origin: origin, ...cookie }),
            await http.get(path, { Origin: origin }),
            await http.send(path, { method: 'OPTIONS', headers: asked }),
          ]) {
            expect([...headers.keys()].filter((it) => it.startsWith('access-control-'))).to.deep.equal([]);
          }
        }
      }
    });
  });

  it('keeps a path of PUBLIC_URL in the address, the redirect and the cookie', async () => {
    await using folder = await temporaryFolder();
    await using server = await startServerHere({
      DATABASE_URL: db.url,
      DATA_DIR: folder.path,
      PUBLIC_URL: 'http://127.0.0.1:8080/forms',
    });
    const key = /mailbox +http:\/\/127\.0\.0\.1:8080\/forms\/mailbox\?key=(\S+)/.exec(server.output)?.[1];
    const { headers } = await clientOf(server.url).get(`/mailbox?key=${key}`);
    expect(headers.get('location')).to.equal('/forms/mailbox');
    expect(headers.get('set-cookie')).to.match(/^ruffinweb-mailbox-8080=.*; path=\/forms\/mailbox;/);
  });

  it('exists for trying things out, if PUBLIC_URL is this machine', () => {
    const has = (publicUrl: string) => hasMailbox({ ...readConfig({ PUBLIC_URL: publicUrl }), smtp: undefined });
    for (const url of ['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:3000/base', 'https://localhost'])
      expect(has(url), url).to.equal(true);
    for (const url of ['http://127.evil.example', 'http://localhost.example', 'http://10.0.0.1', 'http://my-localhost'])
      expect(has(url), url).to.equal(false);
    expect(hasMailbox({ ...readConfig({}), production: true })).to.equal(false);
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
    ['with a public address', { PUBLIC_URL: 'http://forms.example.com' }],
    ['with a mail server', { SMTP_HOST: '127.0.0.1', MAIL_FROM: 'a@example.com' }],
  ] as const) {
    it(`does not exist ${title}`, async () => {
      await using folder = await temporaryFolder();
      await using server = await startServerHere({
        DATABASE_URL: db.url,
        DATA_DIR: folder.path,
        SMTP_PORT: '1',
        ...settings,
      });
      const http = clientOf(server.url);
      expect((await http.get('/mailbox?key=')).status).to.equal(404);
      expect((await http.get('/thanks', { Accept: browserAccept })).text).to.not.include('/mailbox');
      expect(server.output).to.not.include('/mailbox');
    });
  }
});
