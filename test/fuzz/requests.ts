import * as fc from 'fast-check';
import { place } from './damage.ts';

/** What one client sends. */
export interface Connection {
  /** Every call gives messages that were never sent before. As latin1. */
  bytes: () => string;
  /** Lengths of the pieces it is sent in, again and again. */
  slices: number[];
  /** Whether the client waits for answers before it ends its side. */
  finLater: boolean;
}

let serial = 0;

const line = 'POST /api/messages HTTP/1.1';
const basic = ['Host: localhost', 'Content-Type: application/json'];
const chunk = (body: string) => `${body.length.toString(16)}\r\n${body}\r\n`;
const raw = (first: string, headers: readonly string[], body: string, end = '\r\n') =>
  [first, ...headers].join(end) + end + end + body;

function makeBody(inside = ''): string {
  const n = ++serial;
  return JSON.stringify({ email: `wire${n}@example.test`, message: `Message ${n}${inside}` });
}

/** Makes a request around a body. */
type Make = (body: string) => string;

const sized =
  (headers: readonly string[] = [], first = line): Make =>
  (body) =>
    raw(first, [...basic, ...headers, `Content-Length: ${body.length}`], body);
const length =
  (write: (n: number) => string): Make =>
  (body) =>
    raw(line, [...basic, write(body.length)], body);
const coded =
  (headers: readonly string[], write: Make = (body) => `${chunk(body)}0\r\n\r\n`, first = line): Make =>
  (body) =>
    raw(first, [...basic, ...headers], write(body));
const chunks = (write: Make): Make => coded(['Transfer-Encoding: chunked'], write);

const valid: readonly Make[] = [
  sized(),
  length((n) => `content-LENGTH:   000${n}  `),
  coded(['transfer-encoding: Chunked']),
  chunks((body) => `${chunk(body.slice(0, 7))}${chunk(body.slice(7))}0\r\nX-Sum: 1\r\n\r\n`),
  chunks((body) => `00${body.length.toString(16).toUpperCase()};a=b;c="d e";f\r\n${body}\r\n000;x\r\n\r\n`),
  sized([], 'POST http://localhost/api/messages HTTP/1.1'),
  sized(['Connection: keep-alive'], 'POST /api/messages HTTP/1.0'),
  (body) => `\r\n${sized()(body)}`,
  sized([`X-Long: ${'a'.repeat(3000)}`]),
];

/** Valid, and the connection may end after them. */
const last: readonly Make[] = [
  sized(['Connection: close']),
  sized([], 'POST /api/messages HTTP/1.0'),
  sized(['Expect: 100-continue']),
  sized(['Connection: Upgrade', 'Upgrade: h2c']),
  coded(['Connection: Upgrade, HTTP2-Settings', 'Upgrade: websocket', 'Transfer-Encoding: chunked']),
];

/** Nothing to store. */
const other: readonly Make[] = [
  () => raw('GET /livez HTTP/1.1', basic, ''),
  () => raw('OPTIONS * HTTP/1.1', basic, ''),
  () => raw('GET /docs HTTP/1.1', basic, ''),
  sized([], 'GET /livez HTTP/1.1'),
  sized([], 'POST /%zz HTTP/1.1'),
  sized([], 'POST //api/messages HTTP/1.1'),
  sized([], 'POST http://other.test/api/messages HTTP/1.1'),
  sized(['Expect: cake']),
  sized(['Host: localhost']),
  sized(['Content-Encoding: gzip']),
];

const targets = [
  '*',
  '/api/messages#a',
  '/api/messages x',
  '/api/messages\0',
  '/api/messages\xff',
  'localhost:80',
  '',
  '//',
];
const versions = ['HTTP/0.9', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/1.10', 'http/1.1', 'HTTP/1', 'HTTP/1.1 ', ''];
const fields = [
  ...['NoColon', ': x', 'X-A : b', 'X-A\t: b', 'X-A: b\r\n folded', ' X-A: b', 'X-A: b\nX-B: c', 'X-A: b\rX-B: c'],
  ...[
    'X-A: \0',
    'X-A: \x01',
    'X-A: \x7f',
    'X(A): b',
    'X-\xe9: b',
    `X-A: ${'a'.repeat(20_000)}`,
    '\u0000',
    'Host: other',
  ],
];
const lengths: ((n: number) => string)[] = [
  ...[
    '+#',
    '-#',
    '0x#',
    '# #',
    '#, #',
    '',
    '#.0',
    '1e2',
    '99999999999999999999999',
    '#;',
    '"#"',
    '#\t#',
    '\v#',
    '#_0',
  ].map((shape) => (n: number) => `Content-Length: ${shape.replaceAll('#', String(n))}`),
  (n) => `Content-Length: ${n}\r\nContent-Length: ${n}`,
  (n) => `Content-Length: ${n}\r\nContent-Length: 0`,
  (n) => `Content-Length : ${n}`,
  (n) => `Content-Length:\r\n ${n}`,
  () => 'X-None: 1',
];
const codings = [
  ...[
    'identity',
    'chunked, identity',
    'identity, chunked',
    'gzip, chunked',
    ', chunked',
    'chunked,',
    'chunked, chunked',
  ],
  ...[
    'xchunked',
    '"chunked"',
    'chunked;q=1',
    '\tchunked',
    '\vchunked',
    'chunked\0',
    'chunked\r\n folded',
    '\r\n chunked',
    '',
  ],
].map((it) => [`Transfer-Encoding: ${it}`]);
const chunkLines = [
  ...[
    '0x#',
    '+#',
    '-#',
    ' #',
    '# ',
    '#;',
    '#;a=',
    '#; a',
    '',
    'g',
    '10000000000000000#',
    `#;${'a'.repeat(20_000)}`,
    '#\n',
    '#\r',
  ],
];

const broken: readonly Make[] = [
  ...targets.map((it) => sized([], `POST ${it} HTTP/1.1`)),
  ...versions.map((it) => sized([], `POST /api/messages ${it}`)),
  ...['post', 'POST\t', 'POST ', 'CONNECT', 'PRI', 'P\0ST', '(POST)'].map((it) =>
    sized([], `${it} /api/messages HTTP/1.1`),
  ),
  ...fields.map((it) => sized([it])),
  sized(Array.from({ length: 150 }, (_, n) => `X-${n}: a`)),
  ...lengths.map(length),
  ...codings.map((it) => coded(it)),
  ...codings.map((it) => coded(it, (body) => body)),
  coded(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']),
  coded(['Transfer-Encoding: identity', 'Transfer-Encoding: chunked']),
  coded(['Transfer-Encoding: chunked', 'Content-Length: 5']),
  coded(['Content-Length: 500', 'Transfer-Encoding: chunked']),
  coded(['Transfer-Encoding : chunked']),
  coded(['Transfer-Encoding: chunked', 'Connection: keep-alive'], undefined, 'POST /api/messages HTTP/1.0'),
  ...chunkLines.map((it) => chunks((body) => `${it.replace('#', body.length.toString(16))}\r\n${body}\r\n0\r\n\r\n`)),
  chunks((body) => `${body.length.toString(16)}\n${body}\n0\n\n`),
  chunks((body) => `${body.length.toString(16)}\r\n${body}0\r\n\r\n`),
  chunks((body) => `${(body.length + 3).toString(16)}\r\n${body}\r\n0\r\n\r\n`),
  chunks((body) => `${(body.length - 3).toString(16)}\r\n${body}\r\n0\r\n\r\n`),
  ...['NoColon', 'Content-Length: 3', 'X : y', 'X: \0', 'X: y\nZ: a'].map((it) =>
    chunks((body) => `${chunk(body)}0\r\n${it}\r\n\r\n`),
  ),
  (body) => raw(line, [...basic, `Content-Length: ${body.length}`], body, '\n'),
  (body) => raw(line, ['Content-Type: application/json', `Content-Length: ${body.length}`], body),
  () => 'GET /\r\n\r\n',
  () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
];

/** A whole post in the text of another one, which a reader that loses count would see. */
const nested: Make = () => {
  const inside = `email=a@example.test&message=${sized()(makeBody())}`;
  return raw(
    line,
    ['Host: localhost', 'Content-Type: application/x-www-form-urlencoded', `Content-Length: ${inside.length}`],
    inside,
  );
};

const anyOf = (all: readonly Make[]) => fc.constantFrom(...all);
const anyRequest = fc.oneof(
  { weight: 5, arbitrary: anyOf(valid) },
  { weight: 1, arbitrary: anyOf(last) },
  { weight: 2, arbitrary: anyOf(other) },
  { weight: 3, arbitrary: anyOf(broken) },
  { weight: 1, arbitrary: fc.constant(nested) },
);

/** Changes the bytes at a place: a fraction of the whole. */
interface Change {
  at: number;
  remove: number;
  insert: string;
}
const anyChange: fc.Arbitrary<Change> = fc.record({
  at: place,
  remove: fc.nat(3),
  insert: fc.oneof(
    fc.constantFrom(
      '\r\n',
      '\n',
      '\r',
      '\0',
      ' ',
      '\t',
      ':',
      '\r\n\r\n',
      '0\r\n\r\n',
      ',',
      '#',
      ';',
      '1',
      'Host: x\r\n',
    ),
    fc.string({ unit: 'binary', maxLength: 3 }).map((it) => Buffer.from(it).toString('latin1')),
  ),
});

export const anyConnection: fc.Arbitrary<Connection> = fc
  .record({
    requests: fc.array(anyRequest, { minLength: 1, maxLength: 6 }),
    changes: fc.oneof(
      { weight: 2, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(anyChange, { maxLength: 2 }) },
    ),
    cut: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: place }),
    slices: fc.oneof(
      { weight: 3, arbitrary: fc.constant([1e6]) },
      { weight: 3, arbitrary: fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }) },
      { weight: 1, arbitrary: fc.constant([1]) },
    ),
    finLater: fc.boolean(),
  })
  .map(({ requests, changes, cut, slices, finLater }) => ({
    bytes: () => {
      let bytes = requests.map((make) => make(makeBody())).join('');
      // Node reports nothing wrong in a request to upgrade before its timeout, which takes too long here.
      if (/^Upgrade: /m.test(bytes)) return bytes;
      for (const { at, remove, insert } of changes) {
        const start = Math.floor(at * bytes.length);
        bytes = bytes.slice(0, start) + insert + bytes.slice(start + remove);
      }
      return bytes.slice(0, Math.ceil(cut * bytes.length));
    },
    slices: (requests.length > 3 || slices[0] !== 1 ? slices : [1, 40]) as number[],
    finLater,
  }));
