import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import { createKey } from '../../src/services/api-keys/api-keys.ts';
import { openScope } from '../../src/services/scope.ts';
import { submission } from '../support/api.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { type Api, openApi } from '../support/server-here.ts';
import { until } from '../support/until.ts';
import { dial, exchange, rawPost } from '../support/wire.ts';

const ask = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;

describe('connection', () => {
  let api: Api;
  before(async () => {
    api = await openApi();
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });

  it('may send up to a hundred requests before reading the first answer', async () => {
    expect(
      (await exchange(api.server.url, ask('/').repeat(9) + ask('/', 'Connection: close\r\n'))).match(/HTTP\/1\.1 200/g),
    ).to.have.lengthOf(10);
    const socket = await dial(api.server.url);
    let answers = '';
    socket.on('data', (bytes) => {
      answers += bytes;
    });
    for (let asked = 10; asked <= 100; asked += 10) {
      socket.write(ask('/livez').repeat(10));
      await until('ten are answered', () => answers.split('HTTP/1.1 200').length === asked + 1);
    }
    socket.destroy();
  });

  it('that sends a thousand requests at once is closed, at little cost', async () => {
    const socket = await dial(api.server.url);
    socket.on('error', () => {});
    socket.pause();
    socket.write(ask('/docs').repeat(1700));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    await ended;
    await api.http.get('/livez');
    const answered = () => api.server.log.split('\n').filter((line) => line.includes('"route":"/docs"')).length;
    await until('what was begun has ended', () => api.server.log.includes('"route":"/livez"'));
    expect(answered()).to.be.at.most(20);
    expect((await api.http.get('/docs')).status).to.equal(200);
  });

  it('that the client half-closes gets its answers, and is then closed', async () => {
    const half = async (bytes: string) => {
      const socket = await dial(api.server.url);
      socket.end(bytes);
      return await text(socket);
    };
    const post = (message: string) => rawPost('/api/messages', JSON.stringify(submission({ message })));
    expect(await half(post('One'))).to.match(/^HTTP\/1\.1 201 /);
    const several = await half(post('Two') + ask('/livez') + post('Three'));
    expect(several.match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 201', 'HTTP/1.1 200', 'HTTP/1.1 201']);
    expect(await api.db.count('messages')).to.equal(3);
    expect(await half(post('Four').slice(0, -1)), 'a part of a body').to.match(/^HTTP\/1\.1 400 /);
    expect(await half(ask('/livez').slice(0, -2)), 'a part of the headers').to.match(/^HTTP\/1\.1 400 /);
    expect(await half(''), 'nothing').to.equal('');
    expect(await api.db.count('messages')).to.equal(3);
  });

  /** What comes between two posts, and the statuses until the server closes. */
  const between: Record<string, [bytes: string, ...statuses: string[]]> = {
    'a malformed request': ['POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\n', '201', '400'],
    'no request at all': ['\x16\x03\x01\r\n\r\n', '201', '400'],
    'too many headers': [ask('/livez', 'X-A: b\r\n'.repeat(120)), '201', '431'],
    'a malformed chunk': [
      `${rawPost('/api/messages', '', { 'Content-Length': '0' }).replace('Content-Length: 0', 'Transfer-Encoding: chunked')}zz\r\n`,
      ...['201', '400'],
    ],
    'no Host': ['GET /livez HTTP/1.1\r\n\r\n', '201', '400'],
    'another version': ['GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n', '201', '400'],
    'a coding of another kind': [ask('/livez', 'Transfer-Encoding: gzip, chunked\r\n'), '201', '400'],
    'a coding in HTTP/1.0': [
      'GET /livez HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ...['201', '400'],
    ],
    'a fragment': [ask('/livez#a'), '201', '400'],
    'a tunnel': ['CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n', '201', '400'],
    'an upgrade': [ask('/livez', 'Connection: Upgrade\r\nUpgrade: h2c\r\n'), '201', '200'],
    'the end of the connection': [ask('/livez', 'Connection: close\r\n'), '201', '200'],
    'another expectation': [ask('/livez', 'Expect: cake\r\n'), '201', '417'],
  };
  for (const [name, [bytes, ...statuses]] of Object.entries(between))
    it(`answers what came before ${name} first, and stores nothing else`, async () => {
      const before = await api.db.count('messages');
      const post = (n: number) => rawPost('/api/messages', JSON.stringify(submission({ message: `${name} ${n}` })));
      const socket = await dial(api.server.url);
      const answers = text(socket);
      socket.write(post(1) + bytes + post(2));
      expect((await answers).match(/(?<=HTTP\/1\.1 )\d+/g)).to.deep.equal(statuses);
      expect(await api.db.count('messages')).to.equal(before + 1);
    });

  it('that leaves an answer unread is closed', async () => {
    await using short = await openApi({}, { unreadMs: 300 });
    await using context = await openTestContext(short.db);
    await buildMessages(context, 1);
    await short.db.query(
      `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
         'id', lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000', 'receipt', 'RW-' || lpad(n::text, 10, '0'),
         'reasons', array[repeat('x', 10000)])) as m
       from messages, generate_series(1, 2000) as n) as copies`,
    );
    const { key } = await createKey(openScope(context), { name: 'export', scopes: ['read', 'export'] });
    const socket = await dial(short.server.url);
    const accepted = serverSideOf(socket);
    socket.on('error', () => {});
    socket.pause();
    // More than the systems' buffers hold for a client.
    socket.write(ask('/api/messages', `Authorization: Bearer ${key}\r\nAccept: application/jsonl\r\n`));
    const other = await accepted;
    await until('the server has ended it', () => other.destroyed);
    socket.destroy();
  });

  it('that is abandoned is closed, however its client went', async () => {
    const waysToLeave: ((socket: Socket) => void)[] = [
      (socket) => socket.end(),
      (socket) => socket.destroy(),
      (socket) => socket.resetAndDestroy(),
    ];
    for (const leave of waysToLeave) {
      const socket = await dial(api.server.url);
      socket.on('error', () => {});
      socket.pause();
      const accepted = serverSideOf(socket);
      socket.write(ask('/docs').repeat(20));
      const other = await accepted;
      leave(socket);
      await until(`the server has closed it after ${leave}`, () => other.destroyed);
      socket.destroy();
    }
  });
});

/** The server's end of a connection of this process, when its next request arrives. */
function serverSideOf({ localPort }: Socket): Promise<Socket> {
  const channel = 'http.server.request.start';
  return new Promise((resolve) => {
    const take = (message: unknown) => {
      const { socket } = message as { socket: Socket };
      if (socket.remotePort !== localPort) return;
      unsubscribe(channel, take);
      resolve(socket);
    };
    subscribe(channel, take);
  });
}
