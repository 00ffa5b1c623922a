import { expect } from 'chai';
import { submission } from '../support/api.ts';
import { type Api, openApi } from '../support/server-here.ts';
import { until } from '../support/until.ts';

describe('a database that takes no writes for a while, as a standby before it is promoted', () => {
  let api: Api;

  before(async () => {
    api = await openApi({}, { deliver: true });
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });

  /** For all connections from now on; those that are open keep what they have. */
  const set = (readOnly: 'on' | 'off') =>
    api.db.query(
      `set transaction read write; alter database ${api.db.name} set default_transaction_read_only = ${readOnly}`,
    );

  it('is away meanwhile, and no connection from then keeps posts and mail away afterwards', async () => {
    const { http, db } = api;
    await set('on');
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()`,
      [db.name],
    );
    const meanwhile = await Promise.all(Array.from({ length: 3 }, () => http.post('/api/messages', submission())));
    for (const answer of meanwhile) expect([answer.status, answer.json.code]).to.deep.equal([503, 'database-away']);
    const unready = await http.get('/readyz');
    expect([unready.status, unready.json.checks]).to.deep.equal([503, { database: 'read-only' }]);
    await set('off');
    // No connection of before may be asked again: each would refuse for as long as it lives, half an hour.
    await until('a post is stored', async () => (await http.post('/api/messages', submission())).status === 201);
    expect((await http.get('/readyz')).status).to.equal(200);
    await until('its mail is sent', async () => (await db.emails())['notification sent'] === 1);
  });
});
