import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { changeForm } from '../../src/services/forms/form-settings.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

describe('a form changed while a post waits', () => {
  let db: TestDatabase;
  let context: Context;

  beforeEach(async () => {
    db = await createDatabase();
    context = await openTestContext(db, { NOTIFY_TO: 'old@site.test' });
  });
  afterEach(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  const change = async (changes: Parameters<typeof changeForm>[2]) =>
    await changeForm(openScope(context), 'contact', changes);
  /** Posts, and changes the form while the insert has begun and waits for another post from the same address. */
  const postDuring = async (changes: Parameters<typeof changeForm>[2]) => {
    const lock = await db.lockKey(context.keyring.addressIndex('ada@example.test').readBigInt64BE(0));
    const post = buildMessages(context, 1).catch((error: unknown) => error);
    await db.waitingForLocks(1);
    await change(changes);
    await lock.release();
    return await post;
  };

  it('accepts no post once it is closed', async () => {
    expect(await postDuring({ open: false })).to.include({ code: 'form-closed' });
    expect(await db.count('messages')).to.equal(0);
  });

  it('notifies its new owner, and no longer the old one', async () => {
    await postDuring({ recipients: ['new@site.test'] });
    expect(await db.query('select recipient from emails where recipient is not null')).to.deep.equal([
      { recipient: 'new@site.test' },
    ]);
  });

  it('stores the post if nothing relevant changed', async () => {
    const [stored] = (await postDuring({})) as { id: string }[];
    expect(await db.query('select id from messages')).to.deep.equal([{ id: stored?.id }]);
  });

  it('makes posts wait for a running change, without deadlock', async () => {
    const rows = await db.lockRows('forms');
    const post = buildMessages(context, 1);
    await db.waitingForLocks(1);
    const changed = change({ name: 'Another' });
    await db.waitingForLocks(2);
    await rows.release();
    await Promise.all([post, changed]);
    expect(await db.count('messages')).to.equal(1);

    const posts = Array.from({ length: 4 }, (_, i) =>
      buildMessages(context, 10, (n) => ({ email: `p${n % 3}@example.test`, message: `${i} ${n}` })),
    );
    const changes = Array.from({ length: 3 }, async (_, i) => {
      for (let n = 0; n < 10; n++) await change({ name: `Name ${i} ${n}` });
    });
    await Promise.all([...posts, ...changes]);
    expect(await db.count('messages')).to.equal(41);
  });
});
