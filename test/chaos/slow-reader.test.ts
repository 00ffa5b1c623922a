import { setTimeout as pause } from 'node:timers/promises';
import { openApi } from '../support/server-here.ts';
import { until } from '../support/until.ts';
import { dial } from '../support/wire.ts';

describe('a client that reads nothing of what it asks for', () => {
  it('loses its connection within two minutes and a half', async () => {
    await using api = await openApi();
    const ask = 'GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const socket = await dial(api.server.url);
    let closed = false;
    socket.on('error', () => {});
    socket.on('close', () => {
      closed = true;
    });
    socket.pause();
    // What the system keeps for a reader has to be full first.
    for (let wave = 0; wave < 40; wave++) {
      socket.write(ask.repeat(10));
      await pause(50);
    }
    await pause(125_000);
    // Who does not read finds out when there is something to say.
    await until('the server has ended it', async () => {
      socket.write(ask);
      await pause(100);
      return closed;
    });
  });
});
