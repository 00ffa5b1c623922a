import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import * as fc from 'fast-check';
import type { HookOutcome } from '../../src/hooks/hook-sender.ts';
import { createHookSender } from '../../src/hooks/https-sender.ts';
import { plainLine } from '../../src/plain-line.ts';
import { decideDelivery } from '../../src/services/hooks/delivery-schedule.ts';
import { fuzzRuns } from '../support/fuzz.ts';
import { floodBytes, type RawAnswer, RawHttpServer } from '../support/raw-http-server.ts';
import { testCertificate } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const parallel = 32;
const dayMs = 86_400_000;
const secret = 'T0K3N-in-the-path';
const bomb = gzipSync(Buffer.alloc(10_000_000)).toString('latin1');

const statuses =
  '200 200 200 201 204 205 206 226 299 300 301 302 303 304 307 308 400 401 404 410 429 429 500 503 503 599'.split(' ');
const oddStatuses = '100 101 102 103 199 000 099 600 999 2000 20 -1 0x200 2e2'.split(' ');
const statusLine = fc
  .oneof(
    {
      weight: 3,
      arbitrary: fc.tuple(fc.constant('HTTP/1.1 '), fc.constantFrom(...statuses), fc.constantFrom(' OK', '')),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(
        fc.constantFrom('HTTP/1.0 ', 'HTTP/1.1  ', 'HTTP/2 ', 'http/1.1 ', 'HTTP/9.9 ', 'ICY ', ''),
        fc.constantFrom(...statuses, ...oddStatuses),
        fc.constantFrom(' OK', ' \u001b[2J', ` ${'x'.repeat(20_000)}`, '\0', '\u00ff'),
      ),
    },
    { weight: 1, arbitrary: fc.tuple(fc.constant('HTTP/1.1 '), fc.constantFrom(...oddStatuses), fc.constant(' OK')) },
  )
  .map((parts) => parts.join(''));
const inside = [
  'http://127.0.0.1:1/',
  'http://169.254.169.254/latest',
  'https://10.0.0.1/',
  '//[::1]/',
  'file:///etc/passwd',
  '/x',
];
const header = fc.constantFrom(
  ...inside.map((it) => `Location: ${it}`),
  ...[
    '0',
    '7',
    '-5',
    '99999999999999999999',
    '1e9',
    'soon',
    '',
    '7, 8',
    'Wed, 21 Oct 2015 07:28:00 GMT',
    'Fri, 31 Dec 9999 23:59:59 GMT',
    '\u00ff',
  ].map((it) => `Retry-After: ${it}`),
  ...['0', '2', '5000', '-1', '99999999999999999999', '1, 2', 'x'].map((it) => `Content-Length: ${it}`),
  ...['chunked', 'gzip, chunked', 'chunked, chunked', 'x', '\u000bchunked'].map((it) => `Transfer-Encoding: ${it}`),
  ...['gzip', 'br', 'x'].map((it) => `Content-Encoding: ${it}`),
  ...[
    'Connection: upgrade\r\nUpgrade: h2c',
    'Connection: keep-alive',
    'Trailer: X',
    'no colon',
    ': no name',
    ' folded',
    'X: \0',
    '__proto__: x',
  ],
  `X-Long: ${'x'.repeat(30_000)}`,
  `${'X: y\r\n'.repeat(3000)}X: y`,
);
const body = fc.oneof(
  fc.constantFrom(
    '',
    'ok',
    'x'.repeat(9000),
    '\u001b[31mred\u0007\0',
    '\u00e2\u0080\u00ae\u00ff',
    `no such hook /${secret}`,
    '2\r\nok\r\n0\r\n\r\n',
    '2\r\nok\r\nFFFFFFFFFFFFFFFFF\r\n',
    '-1\r\n\r\n',
    `2;${'x'.repeat(20_000)}\r\nok\r\n`,
    '2\r\nok\r\n0\r\nTrailer: 1\r\n',
    'HTTP/1.1 200 OK\r\n\r\n',
    bomb,
  ),
  fc.string({ unit: 'binary-ascii' }),
);
const informational = fc
  .tuple(
    fc.constantFrom('100 Continue', '102 Processing', '103 Early Hints\r\nLink: </x>'),
    fc.constantFrom(0, 0, 0, 1, 3, 2000),
  )
  .map(([line, count]) => `HTTP/1.1 ${line}\r\n\r\n`.repeat(count));

const anyAnswer: fc.Arbitrary<RawAnswer> = fc
  .record({
    informational,
    statusLine,
    headers: fc.oneof(fc.constant([]), fc.array(header, { minLength: 1, maxLength: 3 })),
    blank: fc.constantFrom(...Array<string>(9).fill('\r\n'), '\n', '', '\r'),
    body,
    cut: fc.option(fc.nat(400), { freq: 5 }),
    cuts: fc.array(fc.nat(400), { maxLength: 4 }),
    after: fc.constantFrom<RawAnswer['after']>('end', 'end', 'end', 'reset', 'hold', 'flood', 'drip'),
    more: fc.constantFrom('x', 'X: y\r\n', 'HTTP/1.1 100 Continue\r\n\r\n', '1\r\nx\r\n', '\r\n', bomb),
    isEarly: fc.constantFrom(false, false, false, true),
  })
  .map(({ cut, cuts, after, more, isEarly, ...it }) => {
    const lines = it.informational + [it.statusLine, ...it.headers, ''].join('\r\n') + it.blank + it.body;
    return { bytes: lines.slice(0, cut ?? undefined), cuts, after, more, isEarly };
  });

describe('any answers to a hook', () => {
  const servers: RawHttpServer[] = [];
  const seen = new Map<string, number>();
  const trusted = getCACertificates();

  before(async () => {
    setDefaultCACertificates([testCertificate]);
    for (let count = 0; count < parallel; count++) servers.push(await RawHttpServer.open(count % 4 === 0));
  });
  after(async () => {
    setDefaultCACertificates(trusted);
    for (const server of servers) await server[Symbol.asyncDispose]();
    console.log(`    ${[...seen].map(([outcome, times]) => `${outcome}: ${times}`).join(', ')}`);
  });

  it('end each delivery as docs/webhooks.md says, in bounded time and memory', async () => {
    const { numRuns, ...runs } = fuzzRuns(160);
    await fc.assert(
      fc.asyncProperty(fc.array(anyAnswer, { minLength: parallel, maxLength: parallel }), async (answers) => {
        const faults = await Promise.all(answers.map((it, index) => tryAnswer(it, servers[index] as RawHttpServer)));
        if (faults.flat().length > 0) expect.fail(faults.flat().join('\n'));
        await until('closed connections', () => servers.every((it) => it.openConnections === 0), 5000).catch(
          (error) => {
            const open = answers.filter((_, index) => servers[index]?.openConnections);
            expect.fail(`${error.message} ${JSON.stringify(open).slice(0, 1500)}`);
          },
        );
      }),
      { ...runs, numRuns: Math.ceil(numRuns / parallel), interruptAfterTimeLimit: 280_000, endOnFailure: true },
    );
  });

  async function tryAnswer(answer: RawAnswer, server: RawHttpServer): Promise<string[]> {
    Object.assign(server, { answer, flooded: 0, connections: 0 });
    server.requests.length = 0;
    const sender = createHookSender({ allowHosts: ['127.0.0.1'] }, { deadlineMs: 300 });
    const outcome = await sender.send({ url: `${server.url}/${secret}`, headers: { 'webhook-id': 'd1' }, body: '{}' });
    const key = `${outcome.result} ${outcome.code ?? outcome.reply}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
    const faults = faultsOf(outcome, answer);
    if (server.connections !== 1 || server.requests.length > 1) faults.push('not one request');
    // Without a status line nothing is kept, and the deadline ends it.
    if (server.flooded >= floodBytes && !outcome.reply.startsWith('No answer'))
      faults.push('a flood was read without an end');
    return faults.map((fault) => `${fault}: ${JSON.stringify(outcome)} to ${JSON.stringify(answer).slice(0, 800)}`);
  }
});

/** The rules of docs/webhooks.md. */
function faultsOf({ result, code, reply, retryAfterMs }: HookOutcome, { bytes }: RawAnswer): string[] {
  const faults: string[] = [];
  const next = decideDelivery(1, { result, ...(retryAfterMs !== undefined && { retryAfterMs }) }, 0);
  const state = { accepted: 'sent', refused: 'failed', later: 'queued', away: 'queued' }[result];
  const waitMs = state === 'queued' ? Math.max(5000, retryAfterMs ?? 0) : 0;
  if (next.state !== state || next.waitMs !== waitMs) faults.push(`${next.state} for ${next.waitMs} ms`);
  const rule =
    code === undefined ? 'away' : code >= 200 && code < 300 ? 'accepted' : code === 410 ? 'refused' : 'later';
  if (result !== rule) faults.push(`${result} instead of ${rule}`);
  if (code !== undefined && !(code >= 100 && code <= 999)) faults.push('a status that HTTP has not');
  // Whatever else it says: an answer has a status line, and the status is in it.
  if (code !== undefined && !new RegExp(`^HTTP/\\d\\.\\d +${String(code).padStart(3, '0')}`, 'm').test(bytes))
    faults.push('a status that nobody sent');
  const whole = /^HTTP\/1\.1 ([2-5]\d\d) OK\r\n(?:Retry-After: 7\r\n)?\r\n(?:ok)?$/.exec(bytes);
  if (whole !== null && code !== undefined && String(code) !== whole[1]) faults.push('another status');
  if (retryAfterMs !== undefined && !((code === 429 || code === 503) && retryAfterMs > 0 && retryAfterMs <= dayMs))
    faults.push('a wait that nobody may ask for');
  if (reply.length > 4096 || reply !== plainLine(reply)) faults.push('a reply that is not clean');
  // An answer that was cut in the middle of the secret and then goes on shows a part of it.
  if (/T0K3N-in-the-path|T0K3N-in[-a-z]*$|127\.0\.0\.1:\d{2}/.test(reply)) faults.push('the address in the reply');
  return faults;
}
