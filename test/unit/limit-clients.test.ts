import { expect } from 'chai';
import type { Context, Middleware } from 'koa';
import { Problem } from '../../src/problems.ts';
import { limitClients } from '../../src/server/limits/limit-clients.ts';
import { CappedMap, Quota } from '../../src/server/limits/quotas.ts';

const keepNothing: Middleware = (_ctx, next) => next();

describe('CappedMap', () => {
  it('drops the oldest entry, one at a time, and never grows', () => {
    const map = new CappedMap<string, number>(3);
    map.set('a', 1).set('b', 2).set('c', 3).set('d', 4);
    expect([...map.keys()]).to.deep.equal(['b', 'c', 'd']);
    map.set('c', 5);
    expect([...map.keys()], 'set again is as if new').to.deep.equal(['b', 'd', 'c']);
    map.set('e', 6);
    expect([...map.keys()]).to.deep.equal(['d', 'c', 'e']);
    map.delete('d');
    map.delete('c');
    map.set('f', 7).set('g', 8).set('h', 9);
    expect([...map.keys()]).to.deep.equal(['f', 'g', 'h']);
  });

  it('stays within its size after a hundred thousand keys', () => {
    const map = new CappedMap<number, number>(1000);
    for (let key = 0; key < 100_000; key++) map.set(key, key);
    expect(map.size).to.equal(1000);
    expect([map.has(98_999), map.has(99_000)]).to.deep.equal([false, true]);
  });
});

describe('Quota', () => {
  let now = 0;
  const quota = (posts: number, capacity = 100) => new Quota({ posts, windowMs: 60_000 }, capacity, () => now);

  it('allows its limit in a window that starts with a post', () => {
    const it = quota(2);
    now = 1000;
    expect([it.take('a').taken, it.take('a').taken, it.take('a').taken]).to.deep.equal([true, true, false]);
    expect(it.take('b').taken).to.equal(true);
    now = 60_999;
    const { taken, leftMs, remaining } = it.take('a');
    expect([taken, leftMs, remaining]).to.deep.equal([false, 1, 0]);
    now = 61_000;
    expect(it.take('a').taken).to.equal(true);
  });

  it('returns a place after rejections, never to a later window', () => {
    const it = quota(1);
    now = 0;
    const place = it.take('a');
    expect(it.take('a').taken).to.equal(false);
    place.giveBack();
    expect(it.take('a').taken).to.equal(true);
    now = 60_000;
    expect(it.take('a').taken).to.equal(true);
    place.giveBack();
    expect(it.take('a').taken).to.equal(false);
  });

  it('forgets the count only of the client it had to drop', () => {
    const it = quota(1, 2);
    now = 0;
    for (const client of ['a', 'b', 'c']) it.take(client);
    expect(it.take('b').taken).to.equal(false);
    expect(it.take('c').taken).to.equal(false);
    expect(it.take('a').taken).to.equal(true);
  });
});

describe('limitClients', () => {
  /** Runs the middlewares as Koa would; returns the rejection, or undefined. */
  async function refusal(limits: ReturnType<typeof limitClients>['requests'], clientAddress: string) {
    const headers = new Map<string, string>();
    const ctx = { state: { clientAddress }, set: (name: string, value: string) => headers.set(name, value) };
    const run = (index: number): Promise<void> =>
      Promise.resolve(limits[index]?.(ctx as unknown as Context, () => run(index + 1)));
    try {
      await run(0);
      return undefined;
    } catch (error) {
      expect(error).to.be.instanceOf(Problem);
      return { code: (error as Problem).code, message: (error as Problem).message, headers };
    }
  }

  it('stops a crowd whose members each stay below their limit', async () => {
    const { requests } = limitClients({ posts: 10, windowMs: 60_000 }, keepNothing);
    for (let i = 0; i < 1000; i++)
      expect(await refusal(requests, `10.0.${i >> 8}.${i & 255}`), `${i}`).to.equal(undefined);
    const refused = await refusal(requests, '10.1.1.1');
    expect(refused?.code).to.equal('rate-limited');
    expect(refused?.message).to.match(
      /^this server gets too many requests at the moment; please try again in (a second|\d+ seconds)$/,
    );
    expect(refused?.headers.get('Retry-After')).to.match(/^([1-9]|10)$/);
  });

  it('a client over its limit does not use up the shared limit', async () => {
    const { requests } = limitClients({ posts: 10, windowMs: 60_000 }, keepNothing);
    const refusals = [];
    for (let i = 0; i < 11_000; i++) refusals.push(await refusal(requests, '10.0.0.1'));
    expect(refusals.filter((it) => it !== undefined)).to.have.lengthOf(10_900);
    expect(await refusal(requests, '10.0.0.2')).to.equal(undefined);
  });

  it('allows everyone together at least as much as one client', async () => {
    const { requests } = limitClients({ posts: 20, windowMs: 1000 }, keepNothing);
    const ask = (i: number) => refusal(requests, `10.0.${i % 20}.1`);
    for (let i = 0; i < 2000; i++) expect(await ask(i), `${i}`).to.equal(undefined);
    expect((await ask(2000))?.message).to.match(/^this server gets too many requests/);
  });

  it('lets one household with many networks lock nobody out', async () => {
    const { requests } = limitClients({ posts: 10, windowMs: 60_000 }, keepNothing);
    const household = (n: number) => `2001:db8:0:44${(n % 11).toString(16).padStart(2, '0')}::${n}`;
    const answers = [];
    for (let n = 0; n < 1100; n++) answers.push(await refusal(requests, household(n)));
    expect(answers.filter((it) => it === undefined)).to.have.lengthOf(200);
    expect(await refusal(requests, '198.51.100.7')).to.equal(undefined);
    expect(await refusal(requests, '2001:db8:0:4500::1'), 'the next one').to.equal(undefined);
  });

  it('counts what is refused apart from the rest, up to ten times as much', async () => {
    const { requests } = limitClients({ posts: 10, windowMs: 60_000 }, keepNothing);
    const refusing: Middleware = () => {
      throw new Problem('body-type-unknown', 'no');
    };
    const answering: Middleware = (ctx) => {
      ctx.status = 400;
    };
    const at = (i: number) => `10.${i >> 8}.${i & 255}.1`;
    for (let i = 0; i < 9999; i++) {
      const [end, code] = i % 2 ? [refusing, 'body-type-unknown'] : [answering, undefined];
      expect((await refusal([...requests, end], at(i)))?.code, `${i}`).to.equal(code);
    }
    expect(await refusal(requests, at(10_000)), 'others still get through').to.equal(undefined);
    expect((await refusal([...requests, refusing], at(10_001)))?.message).to.match(/^this server gets too many/);
  });

  it('does nothing if it is off', () => {
    expect(limitClients(undefined, keepNothing)).to.deep.equal({ requests: [], posts: [] });
  });
});
