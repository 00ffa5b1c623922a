import { expect } from 'chai';
import { browserAccept, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { describeWith } from '../support/machine-programs.ts';
import { Nginx } from '../support/nginx.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { exchange, rawPost } from '../support/wire.ts';

describeWith(['nginx'], 'behind nginx with the site in deploy/nginx', () => {
  let db: TestDatabase;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let settings: Settings;
  let server: RunningServer;
  let nginx: Nginx;
  let serial = 0;

  before(async () => {
    db = await createDatabase();
    folder = await temporaryFolder();
    settings = {
      ...{ DATABASE_URL: db.url, DATA_DIR: folder.path, PUBLIC_URL: 'https://localhost', TRUST_PROXY: '1' },
      RATE_LIMIT: '3/1h',
    };
    server = await RunningServer.start(settings, ['serve', '--no-deliver']);
    nginx = await Nginx.before([server.url]);
  });
  after(async () => {
    await nginx?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
    await db?.[Symbol.asyncDispose]();
  });
  const body = (changes = {}) => submission({ message: `No ${++serial}`, ...changes });
  const storedFrom = async () => {
    const shown = await ruffinweb(['messages', 'show', 'latest', '--json'], settings);
    return JSON.parse(shown.stdout).clientAddress;
  };

  it('starts without a warning', async () => {
    const warnings = (await nginx.logs()).error.split('\n').filter((line) => /\[(warn|error|alert|emerg)\]/.test(line));
    // Since 1.25.1 nginx prefers a directive that older ones do not know.
    expect(warnings.filter((line) => !line.includes('http2'))).to.deep.equal([]);
  });

  it('passes our own 413 up to 128 KiB, and sends a readable one above that', async () => {
    const ours = await nginx.post('/api/messages', body({ message: 'x'.repeat(100 * 1024) }));
    expect([ours.status, ours.json.code]).to.deep.equal([413, 'body-too-large']);
    const its = await nginx.post('/api/messages', body({ message: 'x'.repeat(200 * 1024) }));
    expect([its.status, its.json.title]).to.deep.equal([413, 'The body is too large']);
    expect(its.headers.get('access-control-allow-origin')).to.equal('*');
    expect(its.headers.get('content-type')).to.equal('application/problem+json');
    const page = await nginx.post('/api/messages', 'x'.repeat(200 * 1024), { Accept: browserAccept });
    expect(page.text).to.include('<h1>That is too large</h1>');
  });

  it('passes on the client it sees, whatever X-Forwarded-For it sent', async () => {
    const statuses = [];
    for (const forged of ['198.51.100.1', '198.51.100.2, 198.51.100.3', '198.51.100.4', '198.51.100.5'])
      statuses.push((await nginx.post('/api/messages', body(), { 'X-Forwarded-For': forged })).status);
    expect(statuses).to.deep.equal([201, 201, 201, 429]);
    expect(await storedFrom()).to.match(/^127\.0\.0\./);
  });

  it('speaks TLS, keeps HSTS and other headers, and redirects plain HTTP', async () => {
    const page = await nginx.send('/');
    expect(page.status).to.equal(200);
    expect(page.headers.get('strict-transport-security')).to.include('max-age=');
    expect(page.headers.get('content-security-policy')).to.include("default-src 'none'");
    expect(page.headers.get('server')).to.equal('nginx');
    const plain = await exchange(
      `http://127.0.0.1:${nginx.plainPort}`,
      'GET /docs?a=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    );
    expect(plain)
      .to.match(/^HTTP\/1\.1 308 /)
      .and.include('Location: https://forms.example.com/docs?a=1');
  });

  it('answers for itself with the security headers of the server, each once', async () => {
    const ours = (await nginx.send('/livez')).headers;
    const own = [
      await nginx.post('/api/messages', 'x'.repeat(200 * 1024)),
      await nginx.post('/api/messages', 'x'.repeat(200 * 1024), { Accept: browserAccept }),
      await nginx.send('/.ruffinweb/away.html'),
      await nginx.send('/livez', { headers: { 'X-Long': 'x'.repeat(40_000) } }),
    ];
    expect(own.map((it) => it.status)).to.deep.equal([413, 413, 404, 400]);
    for (const { status, headers } of own) {
      for (const name of ['strict-transport-security', 'x-content-type-options', 'referrer-policy'])
        expect(headers.get(name), `${name} of a ${status}`).to.equal(ours.get(name));
      for (const part of (ours.get('content-security-policy') ?? '').split('; '))
        expect(headers.get('content-security-policy'), `of a ${status}`).to.include(part);
    }
    const request = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    const plain = await exchange(`http://127.0.0.1:${nginx.plainPort}`, request);
    expect(plain).to.include('frame-ancestors').and.include('nosniff').and.not.include('Strict-Transport');
  });

  it('redirects a post over plain HTTP with 308, so nothing typed is lost', async () => {
    const posted = rawPost('/api/messages', JSON.stringify(body()), {}, { lastOnConnection: true });
    const sentOn = await exchange(`http://127.0.0.1:${nginx.plainPort}`, posted);
    expect(sentOn)
      .to.match(/^HTTP\/1\.1 308 /)
      .and.include('Location: https://forms.example.com/api/messages');
  });

  it('rejects a flood before it reaches the server', async () => {
    const answers = await Promise.all(Array.from({ length: 240 }, () => nginx.send('/livez')));
    const refused = answers.filter((it) => it.status === 429);
    expect(refused.length).to.be.greaterThan(20);
    expect(refused[0]?.json.title).to.equal('Too many requests');
    expect(refused[0]?.headers.get('retry-after')).to.equal('5');
    expect(answers.filter((it) => it.status === 200).length).to.be.greaterThan(20);
  });

  it('behind CloudFront, uses the visitor address from CloudFront', async () => {
    await using other = await RunningServer.start({ ...settings, TRUST_PROXY: '2' }, ['serve', '--no-deliver']);
    await using variant = await Nginx.before([other.url], (text) =>
      text.replace('  default $binary_remote_addr;\n  # "~', '  "~'),
    );
    const answer = await variant.post('/api/messages', body(), { 'X-Forwarded-For': '198.51.100.9, 203.0.113.77' });
    expect(answer.status).to.equal(201);
    expect(await storedFrom()).to.match(/^203\.0\.113\./);
    // Each visitor has a limit of their own.
    const flood = async (address: string) =>
      (
        await Promise.all(
          Array.from({ length: 240 }, () => variant.send('/livez', { headers: { 'X-Forwarded-For': address } })),
        )
      ).filter((it) => it.status === 429).length;
    expect(await flood('203.0.113.78')).to.be.greaterThan(0);
    expect((await variant.send('/livez', { headers: { 'X-Forwarded-For': '203.0.113.79' } })).status).to.equal(200);
  });

  it('counts an IPv6 /64 as one client, and each IPv4 address alone', async () => {
    // nginx takes the connection's address from a header here, so that a test can choose it.
    const direct = 'set_real_ip_from 127.0.0.1;\nreal_ip_header X-Forwarded-For;\nlog_format ruffinweb ';
    const variants: ((site: string) => string)[] = [
      (site) => site.replace('log_format ruffinweb ', direct),
      (site) => site.replace('  default $binary_remote_addr;\n  # "~', '  "~'),
    ];
    for (const change of variants) {
      await using variant = await Nginx.before([server.url], change);
      const ask = async (address: string) =>
        (await variant.send('/livez', { headers: { 'X-Forwarded-For': address } })).status;
      const refused = async (address: (n: number) => string) =>
        (await Promise.all(Array.from({ length: 120 }, (_, n) => ask(address(n))))).filter((it) => it === 429).length;
      expect(await refused((n) => `2001:db8:4:a:${(n + 1).toString(16)}::1`)).to.be.greaterThan(10);
      expect(await refused((n) => `2001:db8::${(n + 1).toString(16)}`)).to.be.greaterThan(10);
      expect(await ask('2001:db8:4:8::1')).to.equal(200);
      expect(await ask('2001:db8:4::1')).to.equal(200);
      expect(await refused((n) => `198.51.100.${n + 1}`)).to.equal(0);
    }
  });

  it("logs neither address nor query, and writes no visitor's data to disk", async () => {
    await nginx.send('/unsubscribe?token=secret-token');
    const plain = 'GET /plain?token=secret-token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    await exchange(`http://127.0.0.1:${nginx.plainPort}`, plain);
    const { access, error, debian } = await nginx.logs();
    expect(debian).to.equal('');
    expect(access).to.match(/^\S+ GET \/plain 308 /m);
    expect(access).to.match(/^\S+ GET \/unsubscribe \d+ \d+ [\d.]+ 127\.0\.0\.1:\d+ \d+$/m);
    expect(access).to.not.include('secret-token');
    expect(error).to.not.include('buffered to a temporary file');
  });

  // This test is last: the server is gone after it.
  it('without the server, shows people a page and programs a 502 problem', async () => {
    const accepts = [
      ...['application/json, text/html', 'text/html, application/json', 'Text/HTML', 'text/*', '*/*', 'text/plain'],
      ...[browserAccept, 'application/json', 'application/json;q=0.5, text/html'],
    ];
    const shapes = async () => {
      const found: Record<string, boolean> = {};
      for (const Accept of accepts) {
        const refused = await nginx.post('/api/messages', body({ email: 'no address' }), { Accept });
        found[Accept] = /html/.test(refused.headers.get('content-type') ?? '');
      }
      return found;
    };
    const chosenByServer = await shapes();
    await server.stop('SIGKILL');
    const told = await nginx.post('/api/messages', body());
    expect(told.status).to.equal(502);
    expect(told.headers.get('content-type')).to.equal('application/problem+json');
    expect(told.headers.get('retry-after')).to.equal('5');
    expect(told.headers.get('access-control-allow-origin')).to.equal('*');
    expect(told.json).to.include({ type: 'about:blank', title: 'The server is away' });
    const page = await nginx.post('/api/messages', 'email=ada', { Accept: browserAccept });
    expect(page.status).to.equal(502);
    expect(page.headers.get('content-type')).to.equal('text/html; charset=utf-8');
    expect(page.text).to.include('<h1>Away for a moment</h1>');
    expect((await nginx.send('/.ruffinweb/away.html')).status, 'not for everybody').to.equal(404);
    expect(await shapes(), 'as the server chose').to.deep.equal(chosenByServer);
  });
});
