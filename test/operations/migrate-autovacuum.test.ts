import { expect } from 'chai';
import pg from 'pg';
import { migrateDown, migrateUp, readSchemaStatus } from '../../src/database/migrate.ts';
import { commandPatience, openOrm } from '../../src/database/orm.ts';
import { startEmbeddedServer } from '../support/embedded-server.ts';
import { until } from '../support/until.ts';

describe('migrate up during an autovacuum', () => {
  it('waits until PostgreSQL cancels the autovacuum', async () => {
    const server = await startEmbeddedServer();
    const client = new pg.Client({ connectionString: server.url });
    const orm = await openOrm(server.url, commandPatience);
    try {
      await client.connect();
      await migrateUp(orm);
      // Back to before the migration that changes messages, which is the table being vacuumed.
      while (!(await readSchemaStatus(orm.em.fork())).pending.some((it) => it.endsWith('_retention')))
        await migrateDown(orm);
      for (const setting of [
        "autovacuum_naptime = '1s'",
        "autovacuum_vacuum_cost_delay = '100ms'",
        'autovacuum_vacuum_cost_limit = 1',
      ])
        await client.query(`alter system set ${setting}`);
      await client.query('select pg_reload_conf()');
      await client.query(`
        alter table messages disable trigger all;
        insert into messages (id, receipt, form_id, sender_id, status, reasons, content, received_at)
        select gen_random_uuid(), 'RW-' || i, gen_random_uuid(), gen_random_uuid(), 'accepted', '{}', decode(repeat('ab', 800), 'hex'), now()
        from generate_series(1, 20000) as i;
        delete from messages`);
      await until(
        'an autovacuum is at it',
        async () =>
          (await client.query(`select from pg_stat_progress_vacuum where relid = 'messages'::regclass`)).rowCount === 1,
        60_000,
      );
      const done = await migrateUp(orm, { tries: 4 });
      expect(done.some((it) => it.endsWith('_retention'))).to.equal(true);
    } finally {
      await orm.close();
      await client.end();
      await server.stop();
    }
  });
});
