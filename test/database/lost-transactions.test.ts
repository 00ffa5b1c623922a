import { setImmediate as nextTurn } from 'node:timers/promises';
import type { EntityManager } from '@mikro-orm/postgresql';
import { expect } from 'chai';
import type { Pool } from 'pg';
import { inTransaction } from '../../src/database/statement.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase } from '../support/database.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

/** More than the pool has connections. */
const often = 12;

describe('a transaction whose connection is lost', () => {
  for (const statement of ['begin', 'in the middle', 'commit']) {
    it(`(${statement}) returns its connection to the pool every time`, async () => {
      await using db = await createDatabase();
      await using proxy = await TcpProxy.before(db.url);
      await using context = await openTestContext(db, { DATABASE_URL: proxy.urlOf(db.url) });
      const { em } = context.orm;
      for (let i = 0; i < often; i++) {
        const cut = proxy.cutAt('before', statement);
        const failed = await inTransaction(em, async (inside) => await inside.execute(`select 'in the middle'`)).catch(
          (error: Error) => error,
        );
        expect(failed, `loss ${i + 1}`).to.be.instanceOf(Error);
        await cut;
      }
      expect(await inTransaction(em, async (inside) => await inside.execute('select 1 as one'))).to.deep.equal([
        { one: 1 },
      ]);
    });
  }
});

describe('a connection that opens while the pool closes', () => {
  for (const transaction of [false, true]) {
    it(`serves its ${transaction ? 'transaction' : 'statement'}, and the pool ends`, async () => {
      await using db = await createDatabase();
      const context = await openTestContext(db);
      const { em } = context.orm;
      const pool: Pool = await em.getConnection().getNativeClient();
      const other = await pool.connect();
      const ask = async (on: EntityManager) => await on.execute('select 1 as one');
      const asked = transaction ? inTransaction(em, ask) : ask(em.fork() as EntityManager);
      // A handshake takes several turns, so the connection is not open yet.
      while (pool.totalCount === 1) await nextTurn();
      other.release();
      const closed = context[Symbol.asyncDispose]();
      expect(await asked).to.deep.equal([{ one: 1 }]);
      await closed;
      expect(pool.totalCount).to.equal(0);
    });
  }
});
