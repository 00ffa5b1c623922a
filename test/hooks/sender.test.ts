import { Resolver } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect } from 'chai';
import { isAllowedAddress } from '../../src/hooks/allowed-address.ts';
import { findAddresses } from '../../src/hooks/find-addresses.ts';
import type { HookOutcome } from '../../src/hooks/hook-sender.ts';
import { checkHookUrl, describeHookUrl, kindOfUrl } from '../../src/hooks/hook-url.ts';
import { createHookSender } from '../../src/hooks/https-sender.ts';
import { presetRequest } from '../../src/hooks/presets.ts';
import type { HookKind } from '../../src/words.ts';
import { DnsServer } from '../support/dns-server.ts';
import { type Mischief, Receiver, type ScriptedAnswer } from '../support/receiver.ts';
import { until } from '../support/until.ts';

const allowHosts = ['127.0.0.1', 'inside.example'];
const secret = 'T0K3N-in-the-path';

const message = (url: string) => ({
  url,
  headers: { 'Content-Type': 'application/json', 'webhook-id': 'd1' },
  body: '{"é":1}',
});
const at =
  (...addresses: string[]) =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

const publicAddresses = ['8.8.8.8', '93.184.216.34', '2606:4700::6810:84e5', '::ffff:8.8.8.8', '64:ff9b::808:808'];

/** Of our own networks: allowed for hosts that the operator names. */
const insideAddresses = [
  '10.1.2.3',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '127.0.0.1',
  '127.255.255.254',
  '100.64.0.1',
  '100.127.255.255',
  '::1',
  'fc00::1',
  'fd12:3456::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '::ffff:7f00:1',
  '64:ff9b::7f00:1',
  '64:ff9b::10.0.0.1',
  '::127.0.0.1',
];

const neverAllowed = [
  '169.254.169.254',
  '169.254.0.1',
  'fe80::1',
  'fe80::1%eth0',
  '::ffff:169.254.169.254',
  '64:ff9b::a9fe:a9fe',
  'fd00:ec2::254',
  'fd20:ce::254',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '0.0.0.0',
  '0.1.2.3',
  '::',
  '224.0.0.1',
  '239.1.1.1',
  'ff02::1',
  '255.255.255.255',
  '240.0.0.1',
  '198.18.0.1',
  '198.19.255.255',
  '192.0.2.1',
  '198.51.100.1',
  '203.0.113.1',
  '192.88.99.1',
  '2001:db8::1',
  '3fff::1',
  '2001:2::1',
  '2002:7f00:1::',
  '2002:808:808::1',
  '2001:0:7f00:1::',
  '64:ff9b:1::1',
  '::7f00:1',
  '::ffff:0:127.0.0.1',
  'fec0::1',
  '100::1',
  '5f00::1',
  '4000::1',
  'not an address',
  '',
];

describe('addresses that a hook may reach', () => {
  it('are public ones, and inside ones only for named hosts', () => {
    const table = (addresses: string[]) =>
      addresses.map((it) => [it, isAllowedAddress(it, false), isAllowedAddress(it, true)]);
    expect(table(publicAddresses)).to.deep.equal(publicAddresses.map((it) => [it, true, true]));
    expect(table(insideAddresses)).to.deep.equal(insideAddresses.map((it) => [it, false, true]));
    expect(table(neverAllowed)).to.deep.equal(neverAllowed.map((it) => [it, false, false]));
  });

  it('are checked in every way of writing them in a URL', async () => {
    const sender = createHookSender({ allowHosts: [] });
    const hosts = [
      '127.0.0.1',
      '127.1',
      '0x7f.1',
      '0x7f000001',
      '2130706433',
      '017700000001',
      '0177.0.0.1',
      '127.0.0.1.',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[0:0:0:0:0:ffff:7f00:0001]',
      '[64:ff9b::7f00:1]',
      '[2002:7f00:1::]',
      '[2001:0:7f00:1::]',
      '[::127.0.0.1]',
      '0.0.0.0',
      '0',
      '[::]',
      '10.0.0.1',
      '192.168.0.1',
      '169.254.169.254',
      '0xa9fea9fe',
      '[fd00:ec2::254]',
      '[fe80::1]',
      '１２７.０.０.１',
      '127。0。0。1',
      '%31%32%37.0.0.1',
      'localhost',
      'localhost.',
    ];
    for (const host of hosts) {
      const outcome = await sender.send(message(`https://${host}:1/${secret}`));
      expect(outcome, host).to.deep.equal({
        result: 'away',
        reply: 'The host has an address that is not public. If it is your own, add it to HOOK_ALLOW_HOSTS.',
      });
      if (!host.startsWith('localhost'))
        expect(() => checkHookUrl('webhook', `https://${host}/`, { allowHosts: [], allowHttp: false }), host).to.throw(
          'not public',
        );
    }
  });

  it('are refused for a name with one public and one inside address', async () => {
    await using receiver = await Receiver.open();
    for (const addresses of [['8.8.8.8', '127.0.0.1'], ['127.0.0.1', '2606:4700::1'], ['::ffff:127.0.0.1']]) {
      const sender = createHookSender({ allowHosts: [] }, { resolve: at(...addresses) });
      const outcome = await sender.send(message(`https://hook.example:${receiver.port}/`));
      expect(outcome.reply).to.include('not public');
    }
    const sender = createHookSender({ allowHosts }, { resolve: at('127.0.0.1', '169.254.169.254') });
    const outcome = await sender.send(message(`http://inside.example:${receiver.port}/`));
    expect(outcome.reply).to.include('never allowed');
    expect(receiver.connections).to.equal(0);
  });

  it('are looked up once for each request, and checked each time', async () => {
    await using receiver = await Receiver.open();
    const answers = ['127.0.0.1', '169.254.169.254', '127.0.0.1'];
    let lookups = 0;
    const sender = createHookSender(
      { allowHosts },
      { resolve: async () => at(answers[lookups++] ?? '169.254.169.254')() },
    );
    const results: string[] = [];
    for (let i = 0; i < 4; i++)
      results.push((await sender.send(message(`http://inside.example:${receiver.port}/`))).result);
    expect(results).to.deep.equal(['accepted', 'away', 'accepted', 'away']);
    expect({ lookups, connections: receiver.connections }).to.deep.equal({ lookups: 4, connections: 2 });
    expect(receiver.ledger[0]?.headers.host).to.equal(`inside.example:${receiver.port}`);
  });
});

describe('the addresses of a host', () => {
  it('come from DNS, without a thread for a name that is not answered', async () => {
    const zone = {
      'both.test A': ['192.0.2.1', '192.0.2.2'],
      'both.test AAAA': ['2001:db8::1'],
      'six.test AAAA': ['::1'],
    };
    await using dns = await DnsServer.start(zone);
    dns.mute = 'mute.test';
    const find = (host: string, allow: string[] = []) => {
      const resolver = new Resolver({ timeout: 50, tries: 1 });
      resolver.setServers([dns.address]);
      return findAddresses(host, allow, resolver);
    };
    expect(await find('both.test')).to.deep.equal(await at('192.0.2.1', '192.0.2.2', '2001:db8::1')());
    expect(await find('six.test')).to.deep.equal(await at('::1')());
    const failure = await find('mute.test').catch((error: NodeJS.ErrnoException) => error);
    expect(failure).to.include({ code: 'ETIMEOUT' });
    const mute = createHookSender({ allowHosts }, { resolve: () => Promise.reject(failure) });
    expect((await mute.send(message('https://mute.test'))).reply).to.equal('No name server answers for the host.');
    // A name of our own, as in the hosts file.
    expect(await find('localhost')).to.deep.include({ address: '127.0.0.1', family: 4 });
    expect(dns.asked).to.include('localhost A');
    dns.asked.length = 0;
    expect(await find('localhost', ['localhost'])).to.deep.include({ address: '127.0.0.1', family: 4 });
    expect(await find('192.0.2.9')).to.deep.equal(await at('192.0.2.9')());
    expect(dns.asked).to.deep.equal([]);
  });
});

describe('a hook sender', () => {
  let receiver: Receiver;
  const post = async (answer: ScriptedAnswer | Mischief, { path = '/', deadlineMs = 20_000 } = {}) => {
    const sender = createHookSender({ allowHosts }, { deadlineMs });
    receiver.answer(answer);
    return await sender.send(message(receiver.url + path));
  };

  beforeEach(async () => {
    receiver = await Receiver.open();
  });
  afterEach(() => receiver[Symbol.asyncDispose]());

  it('posts the body with its headers', async () => {
    expect(await post({ status: 204 }, { path: '/a?b=c' })).to.deep.equal({ result: 'accepted', code: 204, reply: '' });
    expect(receiver.ledger).to.have.length(1);
    expect(receiver.ledger[0]).to.include({ method: 'POST', path: '/a?b=c', body: '{"é":1}' });
    const headers = { 'content-type': 'application/json', 'user-agent': 'ruffinweb', 'content-length': '8' };
    expect(receiver.ledger[0]?.headers).to.include({ ...headers, 'webhook-id': 'd1', connection: 'close' });
  });

  it('takes only 2xx for success and only 410 for the end', async () => {
    const dayMs = 86_400_000;
    const inNineDays = new Date(Date.now() + 9 * dayMs).toUTCString();
    const table: [ScriptedAnswer, HookOutcome][] = [
      [
        { status: 200, body: 'ok\n' },
        { result: 'accepted', code: 200, reply: 'ok' },
      ],
      [{ status: 299 }, { result: 'accepted', code: 299, reply: '' }],
      [
        { status: 302, headers: { location: '/else' } },
        { result: 'later', code: 302, reply: '' },
      ],
      [
        { status: 307, headers: { location: '/else' }, body: 'moved' },
        { result: 'later', code: 307, reply: 'moved' },
      ],
      [{ status: 304 }, { result: 'later', code: 304, reply: '' }],
      [
        { status: 101, headers: { connection: 'upgrade', upgrade: 'websocket' } },
        { result: 'later', code: 101, reply: '' },
      ],
      [
        { status: 400, body: 'a\r\n\x1b[31mb\0' },
        { result: 'later', code: 400, reply: 'a [31mb' },
      ],
      [
        { status: 410, body: 'gone' },
        { result: 'refused', code: 410, reply: 'gone' },
      ],
      [{ status: 500 }, { result: 'later', code: 500, reply: '' }],
    ];
    for (const [answer, expected] of table) expect(await post(answer), `${answer.status}`).to.deep.equal(expected);
    expect(receiver.ledger.map((it) => it.path)).to.not.include('/else');
    const waits: [number, string, number | undefined][] = [
      [429, '7', 7000],
      [503, '99999999999999999999', dayMs],
      [503, inNineDays, dayMs],
      [503, 'Wed, 21 Oct 2015 07:28:00 GMT', undefined],
      [429, 'soon', undefined],
      [429, '-5', undefined],
      [429, '0', undefined],
      [500, '7', undefined],
    ];
    for (const [status, wait, retryAfterMs] of waits) {
      const outcome = await post({ status, headers: { 'retry-after': wait } });
      expect([outcome.result, outcome.retryAfterMs], `${status} ${wait}`).to.deep.equal(['later', retryAfterMs]);
    }
  });

  it('survives every bad answer', async () => {
    const cut = 'The connection was cut before an answer came.';
    const table: [Mischief, HookOutcome][] = [
      ['reset at once', { result: 'away', reply: cut }],
      ['reset', { result: 'away', reply: cut }],
      ['garbage', { result: 'away', reply: 'The answer is not HTTP.' }],
      ['silence', { result: 'away', reply: 'No answer within 0.15 seconds.' }],
    ];
    for (const [answer, expected] of table)
      expect(await post(answer, { deadlineMs: answer === 'silence' ? 150 : 20_000 }), answer).to.deep.equal(expected);
    const slow = await post('slow', { deadlineMs: 150 });
    expect(slow).to.include({ result: 'accepted', code: 200 });
    expect(slow.reply).to.match(/^x+$/);
    await until('closed connections', () => receiver.openConnections === 0);
  });

  it('reads at most 4 kB of an endless answer and hangs up', async () => {
    const outcome = await post('endless');
    expect(outcome).to.deep.equal({ result: 'accepted', code: 200, reply: 'x'.repeat(4096) });
    await until('closed connections', () => receiver.openConnections === 0);
    expect(receiver.written).to.be.below(16_000_000);
  });

  it('ends at once when it is stopped', async () => {
    const sender = createHookSender({ allowHosts });
    const stop = new AbortController();
    receiver.always = 'silence';
    const sending = sender.send(message(receiver.url), { signal: stop.signal });
    await receiver.received();
    stop.abort();
    const stopped = { result: 'away', reply: 'Stopped before the answer came.' };
    expect(await sending).to.deep.equal(stopped);
    expect(await sender.send(message(receiver.url), { signal: stop.signal })).to.deep.equal(stopped);
    const deaf = createHookSender({ allowHosts }, { deadlineMs: 50, resolve: () => new Promise(() => {}) });
    expect((await deaf.send(message(receiver.url))).reply).to.include('No answer');
    expect(receiver.ledger).to.have.length(1);
  });

  it('checks certificates', async () => {
    await using secure = await Receiver.open({ https: true });
    const resolve = at('127.0.0.1');
    const sender = createHookSender({ allowHosts: [...allowHosts, 'localhost'] }, { resolve });
    const send = async (url: string) => (await sender.send(message(`${url}:${secure.port}/`))).reply;
    const failed = 'The certificate is not valid, or TLS failed';
    expect(await send('https://localhost')).to.equal(`${failed} (DEPTH_ZERO_SELF_SIGNED_CERT).`);
    expect(await send('http://localhost')).to.equal('The connection was cut before an answer came.');
    const before = getCACertificates();
    setDefaultCACertificates([readFileSync('test/support/tls/cert.pem', 'utf8')]);
    try {
      expect(await sender.send(message(secure.url))).to.include({ result: 'accepted', code: 200 });
      expect(await send('https://inside.example')).to.equal(`${failed} (ERR_TLS_CERT_ALTNAME_INVALID).`);
    } finally {
      setDefaultCACertificates(before);
    }
    expect(secure.ledger).to.have.length(1);
  });

  it('shows no part of the address', async () => {
    const path = `/hooks/${secret}?chat_id=-100200300`;
    const body = `<h1>Not found</h1>${receiver.url}${path} ${path} /hooks/${secret} ${secret} -100200300`;
    const echo = await post({ status: 404, body }, { path });
    const written = await post(
      { status: 404, body: 'hooks-T0K3N is wrong, and so are T0K3N/2, T0K3N%2F2, T0K3N+3 and T0K3N%2b3' },
      { path: '/hooks/hooks-T0K3N?a=T0K3N%2F2&b=T0K3N%2b3' },
    );
    // ntfy answers with the topic, which is a secret, and Telegram with the chat.
    const sending = createHookSender({ allowHosts });
    for (const [kind, address] of [
      ['ntfy', '/T0K3N'],
      ['telegram', '/bot1:A/sendMessage?chat_id=T0K3N'],
    ] as const) {
      receiver.answer({ body: '{"topic":"T0K3N","title":"Disk"}' });
      const request = presetRequest(kind, receiver.url + address, { title: 'Disk', lines: [] });
      expect((await sending.send(request)).reply).to.equal('{"topic":"…","title":"Disk"}');
    }
    const cut = await post({ status: 404, body: 'no such path: /hooks/hooks-T0K3' }, { path: '/hooks/hooks-T0K3N' });
    expect(cut.reply).to.equal('no such path: /…/…');
    expect(written.reply).to.equal('… is wrong, and so are …, …, … and …');
    expect(echo.reply).to.include('Not found');
    const closed = await Receiver.open();
    const gone = closed.url;
    await closed[Symbol.asyncDispose]();
    const sender = createHookSender({ allowHosts });
    const replies = [echo.reply, (await post('reset', { path })).reply];
    for (const url of [
      gone + path,
      `https://no.invalid${path}`,
      `ftp://127.0.0.1${path}`,
      `http://no.invalid${path}`,
      path,
    ]) {
      const outcome = await sender.send(message(url));
      expect(outcome.result, url).to.equal('away');
      replies.push(outcome.reply);
    }
    const bad = { ...message(receiver.url + path), headers: { 'webhook-id': 'a\r\nb' } };
    replies.push((await sender.send(bad)).reply);
    for (const reply of replies) expect(reply).to.not.match(/T0K3N|chat_id|100200300|127\.0\.0\.1|no\.invalid/);
    expect(replies[2]).to.equal('The host refuses connections.');
  });

  it('needs the host to be allowed for http, each time', async () => {
    const sender = createHookSender({ allowHosts: [] });
    const outcome = await sender.send(message(`http://8.8.8.8:${receiver.port}/`));
    expect(outcome.reply).to.equal('http works only for hosts in HOOK_ALLOW_HOSTS: use https, or add the host there.');
  });
});

describe('the URL of a hook', () => {
  const check = (kind: HookKind, url: string, allowHttp = false) => {
    try {
      return checkHookUrl(kind, url, { allowHosts, allowHttp }).href;
    } catch (error) {
      return (error as Error).message;
    }
  };

  it('is checked for its kind', () => {
    const good: [HookKind, string][] = [
      ['webhook', 'https://example.com/hook?token=1'],
      ['slack', 'https://hooks.slack.com/services/T000/B000/XXX'],
      ['discord', 'https://discord.com/api/webhooks/123/abc-_D?thread_id=4'],
      ['telegram', 'https://api.telegram.org/bot1:A-b/sendMessage?chat_id=-100'],
      ['ntfy', 'https://ntfy.sh/my_topic-1?auth=abc'],
      ['apprise', 'https://apprise.example.com/notify/key?tag=a'],
    ];
    for (const [kind, url] of good) {
      expect(check(kind, url)).to.equal(url);
      expect(kindOfUrl(url), url).to.equal(['webhook', 'apprise'].includes(kind) ? undefined : kind);
      expect(describeHookUrl(url)).to.equal(new URL(url).host);
    }
    const bad: [HookKind, string][] = [
      ['slack', 'https://hooks.slack.com/'],
      ['discord', 'https://discord.com/api/webhooks/123'],
      ['discord', 'https://discord.com/api/webhooks/123/abc/slack'],
      ['telegram', 'https://api.telegram.org/bot1:A/sendMessage'],
      ['telegram', 'https://api.telegram.org/bot1:A/getMe?chat_id=1'],
      ['ntfy', 'https://ntfy.sh/'],
      ['ntfy', 'https://ntfy.sh/a/b'],
      ['apprise', 'https://apprise.example.com/'],
    ];
    for (const [kind, url] of bad)
      expect(check(kind, url), url).to.match(/^This is not an address for \w+\. Expected: https:/);
    for (const text of ['', 'x', '//x', 'https://']) expect(kindOfUrl(text)).to.equal(undefined);
    expect(describeHookUrl('x')).to.equal('');
  });

  it('starts with https, or with http where both allow it', () => {
    expect(check('webhook', 'http://127.0.0.1:1/')).to.include('https://');
    expect(check('webhook', 'http://127.0.0.1:1/', true)).to.equal('http://127.0.0.1:1/');
    expect(check('webhook', 'http://example.com/', true)).to.include('HOOK_ALLOW_HOSTS');
    expect(check('webhook', 'https://169.254.169.254/')).to.include('not public');
    for (const url of [
      'ftp://a.example',
      'file:///etc/passwd',
      'a.example/x',
      '',
      `https://a.example/${'x'.repeat(2000)}`,
    ])
      expect(check('webhook', url, true), url).to.include('must start with https://');
  });

  it('has no credentials', () => {
    for (const url of ['https://me:p4ss@example.com/', 'https://me@example.com/', 'https://:p4ss@example.com/'])
      expect(check('webhook', url), url)
        .to.include('Use a token')
        .and.not.match(/p4ss|example/);
  });
});
