import { readFile } from 'node:fs/promises';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import * as fc from 'fast-check';
import type { Context } from '../../src/context.ts';
import { openContent } from '../../src/services/sealed-values.ts';
import { openTestContext } from '../support/context.ts';
import { fuzzRuns } from '../support/fuzz.ts';
import { type Api, openApi } from '../support/server-here.ts';
import { readAnswers, readStrictly, type StrictRequest, type WireAnswer } from '../support/strict-http.ts';
import { until } from '../support/until.ts';
import { dial } from '../support/wire.ts';
import { anyConnection, type Connection } from './requests.ts';

/** Longer than a slow machine needs, shorter than the server's own timeouts. */
const deadlineMs = 9000;

/** Connections at the same time. */
const together = 8;

describe('bytes on a connection', () => {
  let api: Api;
  let context: Context;
  /** The newest stored message that was checked. */
  let newest = '00000000-0000-0000-0000-000000000000';
  let stored = 0;

  before(async () => {
    api = await openApi({ LOG_LEVEL: 'warn' });
    context = await openTestContext(api.db);
  });
  after(async () => {
    await context?.[Symbol.asyncDispose]();
    await api?.[Symbol.asyncDispose]();
  });

  it('are answered and stored as a strict reader understands them', async () => {
    const { seed, numRuns } = fuzzRuns(480);
    const connections = fc.array(anyConnection, { minLength: together, maxLength: together });
    // Making a failure smaller would stumble over what the first one has stored.
    const options = { seed, numRuns: Math.ceil(numRuns / together), endOnFailure: true };
    await fc.assert(fc.asyncProperty(connections, checkConnections), options);
    await until('no connection is left open', areAllClosed);
    expect(await api.db.count('messages'), 'stored messages, checked or not').to.equal(stored);
    expect(stored, 'the cases are worth something').to.be.greaterThan(together);
    expect((await api.http.get('/livez')).status).to.equal(200);
    expect(api.server.log.length, 'characters of log').to.be.lessThan(2000);
  });

  async function checkConnections(connections: readonly Connection[]): Promise<void> {
    const read = await Promise.all(connections.map(readConnection));
    const promised = read.flatMap(({ requests, answers }) =>
      answers.flatMap(({ status, body }, n) =>
        status === 201 ? [{ id: JSON.parse(body).id, request: requests[n] }] : [],
      ),
    );
    await checkStored(promised);
  }

  /** Compares the answers with what a strict reader finds in the same bytes. */
  async function readConnection(connection: Connection) {
    const bytes = connection.bytes();
    const text = await send(connection, bytes);
    try {
      const { requests, stopped } = readStrictly(bytes);
      const answers = readAnswers(text);
      const left = answers.slice(matchAnswers(requests, answers));
      // Of a request whose body is malformed, and its end.
      expect(left.length, 'surplus answers').to.be.at.most(2);
      for (const [index, { status }] of left.entries()) {
        const mayBeEarly = index === 0 && stopped === 'in a body';
        expect(status, 'status of a malformed request').to.be.within(mayBeEarly ? 200 : 400, 499);
        expect(status, 'status of a malformed request').not.to.be.oneOf([201, 303]);
      }
      return { requests, answers };
    } catch (error) {
      throw new Error(`${(error as Error).message}\nsent ${shown(bytes)}\nreceived ${shown(text)}`);
    }
  }

  /** Everything the server sends until it closes. */
  async function send({ slices, finLater }: Connection, bytes: string): Promise<string> {
    const socket = await dial(api.server.url);
    socket.setNoDelay();
    let received = '';
    let readAt = 0;
    socket
      .on('error', () => {})
      .on('data', (piece: Buffer) => {
        received += piece.toString('latin1');
        readAt = Date.now();
      });
    const closed = new Promise<boolean>((resolve) => socket.once('close', () => resolve(true)));
    for (let at = 0, n = 0; at < bytes.length && !socket.destroyed; n++) {
      const length = slices[n % slices.length] ?? bytes.length;
      socket.write(Buffer.from(bytes.slice(at, at + length), 'latin1'));
      at += length;
      await turn();
    }
    readAt = Date.now();
    while (finLater && !socket.destroyed && Date.now() - readAt < 20) await pause(5);
    socket.end();
    const inTime = await Promise.race([closed, pause(deadlineMs, false, { ref: false })]);
    socket.destroy();
    expect(inTime, `closed in time: sent ${shown(bytes)}\nreceived ${shown(received)}`).to.equal(true);
    return received;
  }

  async function checkStored(promised: { id: string; request: StrictRequest | undefined }[]): Promise<void> {
    const rows = await api.db.query<{ id: string; content: Buffer }>(
      'select id, content from messages where id > $1 order by id',
      [newest],
    );
    newest = rows.at(-1)?.id ?? newest;
    stored += rows.length;
    const found = rows.map((row) => row.id);
    expect(found, 'ids of stored messages').to.deep.equal(promised.map(({ id }) => id).toSorted());
    for (const { id, request } of promised) {
      const row = rows.find((it) => it.id === id);
      if (row === undefined || !/json/.test(request?.headers.get('content-type')?.[0] ?? '')) continue;
      const { message } = JSON.parse(Buffer.from(request?.body ?? '', 'latin1').toString('utf8'));
      expect(openContent(context.keyring, row).text).to.equal(message);
    }
  }

  /** As the kernel lists them; finished ones wait a while (06). */
  async function areAllClosed(): Promise<boolean> {
    const port = Number(new URL(api.server.url).port).toString(16).toUpperCase().padStart(4, '0');
    const lines = (await readFile('/proc/self/net/tcp', 'utf8')).split('\n').map((it) => it.trim().split(/\s+/));
    return !lines.some(([, local, , state]) => local?.endsWith(`:${port}`) && state !== '0A' && state !== '06');
  }
});

function shown(bytes: string): string {
  return JSON.stringify(bytes.replaceAll(/a{100,}/g, 'a…').slice(0, 4000));
}

/** @returns how many answers belong to these requests. */
function matchAnswers(requests: readonly StrictRequest[], answers: readonly WireAnswer[]): number {
  for (const [n, request] of requests.entries()) {
    const answer = answers[n];
    const isAllowedToEnd = request.trust === 'unsure';
    if (answer === undefined) {
      expect(isAllowedToEnd, `answer ${n + 1} of ${requests.length} is missing`).to.equal(true);
      return n;
    }
    expect(answer.status, `answer ${n + 1}`).to.be.lessThan(500);
    const mayEnd = request.isLast || isAllowedToEnd || request.headers.has('upgrade') || request.headers.has('expect');
    if (!mayEnd) expect(answer.closes, `answer ${n + 1} closes the connection`).to.equal(false);
    if (answer.closes) return n + 1;
  }
  return requests.length;
}
