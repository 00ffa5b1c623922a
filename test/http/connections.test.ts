import { expect } from 'chai';
import { type Api, openApi } from '../support/server-here.ts';
import { until } from '../support/until.ts';
import { dial, exchange } from '../support/wire.ts';

const ask = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;

describe('a connection', () => {
  let api: Api;
  before(async () => {
    api = await openApi();
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });

  it('may ask for a few things before it reads the first, one hundred in all', async () => {
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

  it('that asks for a thousand at once is ended, and costs the server no more than a few', async () => {
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
});
