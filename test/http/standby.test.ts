import { expect } from 'chai';
import { submission } from '../support/api.ts';
import { type Api, openApi } from '../support/server-here.ts';
import { until } from '../support/until.ts';

describe('a database that is read-only for a while, as a standby before promotion', () => {
  let api: Api;

  before(async () => {
    api = await openApi({}, { deliver: true });
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });

  /** Applies to all connections from now on; open ones keep their setting. */
  const set = (readOnly: 'on' | 'off') =>
    api.db.query(
      `set transaction read write; alter database ${api.db.name} set default_transaction_read_only = ${readOnly}`,
    );

  it('counts as down, and old connections block no posts or mail afterwards', async () => {
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
    // No earlier connection may be used again: each would reject writes for as long as it lives, half an hour.
    await until('a post is stored', async () => (await http.post('/api/messages', submission())).status === 201);
    expect((await http.get('/readyz')).status).to.equal(200);
    await until('its mail is sent', async () => (await db.emails())['notification sent'] === 1);
  });
});
