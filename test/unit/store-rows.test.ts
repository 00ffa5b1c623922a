import { createHash, randomUUID } from 'node:crypto';
import { getHeapStatistics } from 'node:v8';
import { expect } from 'chai';
import { readConfig } from '../../src/config/read-config.ts';
import { sortLocks } from '../../src/database/locks.ts';
import { TooSlow } from '../../src/database/outage.ts';
import { Keyring, sealingKey } from '../../src/privacy/keyring.ts';
import { openPostMemory } from '../../src/services/intake/post-memory.ts';
import { bind, notices, posts, prepareRow, replies } from '../../src/services/intake/statement/store-rows.ts';
import type { Verdict } from '../../src/services/intake/verdict.ts';
import type { Scope } from '../../src/services/scope.ts';

const keyring = new Keyring([sealingKey('k1', new Uint8Array(32).fill(1))], new Uint8Array(32).fill(9));
const config = readConfig({ DATABASE_URL: 'postgresql://x@localhost/x', MAIL_FROM: 'Site <site@site.test>' });
// What rows are made with.
const scope = { keyring, config } as unknown as Scope;
const formId = randomUUID();

const rowOf = (changes: Partial<Verdict> = {}, n = 1) =>
  prepareRow(
    scope,
    {
      formId,
      formVersion: '7',
      content: { address: 'Ada@Example.test', text: 'Hello', extra: [] },
      otherAddresses: [],
      clientAddress: '192.0.2.7',
      status: 'accepted',
      reasons: [],
      notify: [],
      idempotencyKey: undefined,
      captchaUse: undefined,
      notifyLimit: 3,
      noReply: undefined,
      ...changes,
    },
    n,
  );

describe('the row of a post', () => {
  it('has everything, sealed or hashed', () => {
    const row = rowOf({
      content: { address: 'Ada@Example.test', name: 'Ada', text: 'Hello', extra: [] },
      otherAddresses: ['B@x.test', 'c@x.test'],
      reasons: ['honeypot', 'many-links'],
      notify: ['one@site.test', 'two@site.test'],
      idempotencyKey: 'k',
      captchaUse: { id: 'c', expiresAt: new Date(5) },
    });
    expect(row).to.include({ n: 1, form_id: formId, form_version: '7', captcha_id: 'c', captcha_expires_ms: 5 });
    expect(row).to.include({ status: 'accepted', reasons: 'honeypot,many-links', no_reply: null, notify_limit: 3 });
    expect(row.key?.equals(keyring.keyIndex('k'))).to.equal(true);
    const sender = (column: 'address' | 'name') => ({ table: 'senders', column, row: row.sender_id ?? '' }) as const;
    expect(keyring.open(row.address ?? Buffer.of(), sender('address'))).to.equal('Ada@Example.test');
    expect(keyring.open(row.name ?? Buffer.of(), sender('name'))).to.equal('Ada');
    expect(row.address_index?.equals(keyring.addressIndex('ada@example.test'))).to.equal(true);
    const others = ['b@x.test', 'c@x.test'].map((it) => keyring.addressIndex(it).toString('hex'));
    expect(row.other_addresses).to.equal(others.join(','));
    const place = { table: 'messages', column: 'client_address', row: row.message_id } as const;
    expect(keyring.open(row.client_address ?? Buffer.of(), place)).to.equal('192.0.2.0/24');
    expect(row.notices.map(({ post, recipient }) => [post, recipient])).to.deep.equal([
      [1, 'one@site.test'],
      [1, 'two@site.test'],
    ]);
    for (const it of row.notices) expect(it.internet_message_id).to.equal(`<${it.id}@site.test>`);
  });

  it('leaves out what was not given', () => {
    const row = rowOf({ content: { text: 'Hello', extra: [] }, clientAddress: undefined, noReply: 'no-address' });
    const none = { key: null, captcha_id: null, captcha_expires_ms: null, client_address: null, text_index: null };
    expect(row).to.include({ ...none, sender_id: null, address_index: null, address: null, name: null });
    expect(row).to.include({ other_addresses: null, no_reply: 'no-address', reasons: '' });
    expect([row.notices, row.replies]).to.deep.equal([[], []]);
    expect(rowOf().name).to.equal(null);
  });

  it('has a hash of a long text, without case, space and digits', () => {
    const index = (text: string) => rowOf({ content: { text, extra: [] } }).text_index?.toString('hex');
    const plain = 'x'.repeat(58);
    const hash = keyring.textIndex(`${plain} y`).toString('hex');
    for (const end of [' y', '  Y', '\n12 y', '9y ', 'y'].slice(0, 4)) expect(index(` ${plain}${end}`)).to.equal(hash);
    expect(index(`${plain} z`)).to.not.equal(hash);
    expect([index('x'.repeat(59)), index('x'.repeat(60)) === undefined]).to.deep.equal([undefined, false]);
  });

  it('asks for a reply only to the address of an accepted post', () => {
    expect(rowOf({}, 4).replies).to.have.lengthOf(1);
    expect(rowOf({}, 4).replies[0]).to.include({ post: 4, former_index: null });
    expect(rowOf({ status: 'held' }).replies).to.deep.equal([]);
    expect(rowOf({ noReply: 'off' }).replies).to.deep.equal([]);
    expect(rowOf({ content: { text: '', extra: [] } }).replies).to.deep.equal([]);
    const [reply] = rowOf({ content: { address: 'Ada+x@Example.test', text: '', extra: [] } }).replies;
    expect(reply?.reply_index.equals(keyring.addressIndex('ada@example.test'))).to.equal(true);
    expect(reply?.former_index).to.equal(null);
    expect(reply?.network?.equals(keyring.limitIndex('replies 192.0.2.0/24'))).to.equal(true);
    expect(reply?.domain?.equals(keyring.limitIndex('replies @example.test'))).to.equal(true);
    const [other] = rowOf({
      content: { address: 'a.b@proton.me', text: '', extra: [] },
      clientAddress: undefined,
    }).replies;
    expect(other?.former_index?.equals(keyring.addressIndex('a.b@proton.me'))).to.equal(true);
    expect([other?.network, other?.domain]).to.deep.equal([null, null]);
  });
});

describe('the parameters of the storing statement', () => {
  it('have one number each', () => {
    expect([posts.next, notices.next, replies.next]).to.deep.equal([23, 27, 36]);
  });

  it('have a short wait for locks if posts share it', () => {
    expect([bind([rowOf()])[0], bind([rowOf(), rowOf({}, 2)])[0]]).to.deep.equal([null, '500']);
  });

  it('have a lock for everything that two statements may change', () => {
    const row = rowOf({
      idempotencyKey: 'k',
      captchaUse: { id: 'c', expiresAt: new Date(5) },
      otherAddresses: ['b@x.test', 'c@x.test'],
    });
    const first = (hash: Buffer) => hash.readBigInt64BE(0);
    const locks = [
      keyring.keyIndex('k').readBigInt64BE(8),
      row.fingerprint.readBigInt64BE(8),
      ...['ada@example.test', 'b@x.test', 'c@x.test'].map((it) => first(keyring.addressIndex(it))),
      first(createHash('sha256').update('c').digest()),
    ];
    expect(bind([row])[1]).to.deep.equal(sortLocks(locks));
    const reply = rowOf({ content: { address: 'ada+x@example.test', text: '', extra: [] } });
    const its = ['ada+x@example.test', 'ada@example.test'].map((it) => first(keyring.addressIndex(it)));
    expect(bind([reply])[1]).to.deep.equal(sortLocks([reply.fingerprint.readBigInt64BE(8), ...its]));
    const plain = rowOf({ content: { text: '', extra: [] } });
    expect(bind([plain])[1]).to.deep.equal(sortLocks([plain.fingerprint.readBigInt64BE(8)]));
  });

  it('count the replies of each network and domain', () => {
    const from = (address: string, clientAddress: string | undefined, n: number) =>
      rowOf({ content: { address, text: '', extra: [] }, clientAddress, notify: ['o@site.test'] }, n);
    const rows = [
      from('a@a.test', '192.0.2.1', 1),
      from('b@b.test', '192.0.2.2', 2),
      from('c@a.test', undefined, 3),
      from('d@gmail.com', undefined, 4),
      from('e@gmail.com', '198.51.100.1', 5),
    ];
    const places = [
      [1, 1],
      [2, 1],
      [0, 2],
      [0, 0],
      [1, 0],
    ];
    const placed = rows.flatMap((row, index) =>
      row.replies.map((it) => ({
        ...it,
        network_place: places[index]?.[0] ?? -1,
        domain_place: places[index]?.[1] ?? -1,
      })),
    );
    expect(bind(rows).slice(2)).to.deep.equal([
      ...posts.values(rows),
      ...notices.values(rows.flatMap((row) => row.notices)),
      ...replies.values(placed),
    ]);
    expect(bind([rowOf({ noReply: 'off' })])).to.have.lengthOf(replies.next - 1 - 9);
  });
});

describe('memory for posts', () => {
  it('is taken by their bodies, eight bytes for each, and given back', () => {
    const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
    const room = (limit - used) / 8;
    const memory = openPostMemory();
    const most = memory.take(0.99 * room);
    expect(() => memory.take(0.2 * room)).to.throw(TooSlow);
    most[Symbol.dispose]();
    memory.take(0.99 * room)[Symbol.dispose]();
    expect(() => memory.take(1.01 * room)).to.throw(TooSlow);
  });

  it('is taken by each post too', () => {
    const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
    const memory = openPostMemory();
    let count = 0;
    try {
      for (; count < 1_000_000; count++) memory.take(0);
    } catch (error) {
      expect(error).to.be.instanceOf(TooSlow);
    }
    expect(count).to.be.closeTo((limit - used) / 8 / 16_384, count / 10);
  });
});
