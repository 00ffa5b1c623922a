import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { adminShapes } from '../../src/server/openapi/admin-schemas.ts';
import { createKey, type KeyRequest } from '../../src/services/api-keys/api-keys.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import type { Stored } from '../../src/services/intake/verdict.ts';
import { openScope } from '../../src/services/scope.ts';
import { runHere } from '../cli/terminal.ts';
import { type Answer, type Client, submission } from '../support/api.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi, type ServerHere } from '../support/server-here.ts';
import { until } from '../support/until.ts';

const unknownId = '01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a';

const routes = [
  ['GET', '/api/senders', 'read'],
  ['GET', `/api/senders/${unknownId}`, 'read'],
  ['PATCH', `/api/senders/${unknownId}`, 'write'],
  ['DELETE', `/api/senders/${unknownId}`, 'write'],
  ['GET', `/api/senders/${unknownId}/export`, 'export'],
  ['POST', '/api/senders/search', 'read'],
  ['GET', '/api/messages', 'read'],
  ['GET', `/api/messages/${unknownId}`, 'read'],
  ['DELETE', `/api/messages/${unknownId}`, 'write'],
  ['POST', `/api/messages/${unknownId}/hold`, 'write'],
  ['POST', `/api/messages/${unknownId}/release`, 'write'],
  ['GET', '/api/emails', 'read'],
  ['GET', `/api/emails/${unknownId}`, 'read'],
  ['POST', `/api/emails/${unknownId}/resend`, 'write'],
  ['POST', `/api/emails/${unknownId}/cancel`, 'write'],
] as const;

describe('HTTP API with a key', () => {
  let api: Api;
  let db: TestDatabase;
  let context: Context;
  let server: ServerHere;
  let http: Client;
  let everything: string;

  const keyFor = async (request: Partial<KeyRequest> = {}) =>
    (await createKey(openScope(context), { name: 'test', scopes: ['read', 'write', 'export'], ...request })).key;
  const ask = (method: string, path: string, key: string | undefined, init: RequestInit = {}): Promise<Answer> =>
    http.send(path, {
      method,
      ...init,
      headers: { ...(key && { Authorization: `Bearer ${key}` }), ...(init.headers as Record<string, string>) },
    });
  const get = (path: string) => ask('GET', path, everything);
  const patch = (path: string, body: unknown, key = everything) =>
    ask('PATCH', path, key, { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } });
  const command = async (...args: string[]) => JSON.parse((await runHere([...args, '--json'], db)).stdout);
  const audited = () =>
    server.log
      .split('\n')
      .filter((line) => line.includes('"audit"'))
      .map((line) => JSON.parse(line));

  before(async () => {
    api = await openApi({ PUBLIC_URL: 'https://forms.example.test/base', TRUST_PROXY: '1' });
    ({ db, server, http } = api);
    context = await openTestContext(db);
    await db.query(`insert into forms (id, slug) values (gen_random_uuid(), 'shop')`);
    everything = await keyFor();
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    await db.query('truncate recent_posts');
  });

  describe('rejects requests', () => {
    for (const [method, path, scope] of routes) {
      it(`to ${method} ${path.replace(unknownId, '{id}')} without a key or the scope "${scope}"`, async () => {
        const none = await ask(method, path, undefined);
        expect(none.status).to.equal(401);
        expect(none.headers.get('www-authenticate')).to.equal('Bearer realm="ruffinweb"');
        expect(none.headers.get('content-type')).to.equal('application/problem+json; charset=utf-8');
        expect(none.json.code).to.equal('key-required');
        const others = (['read', 'write', 'export'] as const).filter((it) => it !== scope);
        const lacking = await ask(method, path, await keyFor({ scopes: others }));
        expect(lacking.status).to.equal(403);
        expect(lacking.json.code).to.equal('key-forbidden');
        expect(lacking.headers.get('www-authenticate')).to.equal('Bearer realm="ruffinweb"');
        const content = path.endsWith('/search') ? '{"email":"nobody@example.test"}' : '{"blocked":true}';
        const body =
          method === 'PATCH' || path.endsWith('/search')
            ? { body: content, headers: { 'Content-Type': 'application/json' } }
            : {};
        const enough = await ask(method, path, await keyFor({ scopes: [scope] }), body);
        expect(enough.status).to.equal(path.includes(unknownId) || path.endsWith('/search') ? 404 : 200);
        expect(enough.headers.get('www-authenticate')).to.equal(null);
      });
    }

    it('with a malformed, unknown, forged, expired or revoked key', async () => {
      const [expired, revoked] = [await keyFor({ name: 'expired' }), await keyFor({ name: 'revoked' })];
      await db.query(`update api_keys set expires_at = now() where name = 'expired'`);
      await db.query(`update api_keys set revoked_at = now() where name = 'revoked'`);
      const wrongSecret = everything.slice(0, 20) + (everything[20] === 'A' ? 'B' : 'A') + everything.slice(21);
      const unknown = `rw_0000000000_${'A'.repeat(43)}`;
      for (const key of ['x', 'rw_', unknown, wrongSecret, `${everything}A`, expired, revoked]) {
        const answer = await ask('GET', '/api/messages', key);
        expect(answer.status, key).to.equal(401);
        expect(answer.text).to.not.include(key.slice(14, 40) || 'nothing');
      }
      expect((await http.get('/api/messages', { Authorization: `Basic ${everything}` })).status).to.equal(401);
      expect((await http.get(`/api/messages?key=${everything}`)).status, 'never in an address').to.equal(401);
      expect((await http.get('/api/messages', { Authorization: `bearer ${everything}` })).status).to.equal(200);
    });

    it('with wrong keys past a limit per client, but never with a good one', async () => {
      const from = (address: string, token: string) =>
        http.get('/api/emails', { Authorization: `Bearer ${token}`, 'X-Forwarded-For': address });
      const [busy, unused] = [await keyFor({ scopes: ['read'] }), await keyFor({ scopes: ['read'] })];
      const many = await Promise.all(Array.from({ length: 80 }, () => from('203.0.113.1', busy)));
      expect(new Set(many.map(({ status }) => status)), 'at once').to.deep.equal(new Set([200]));
      const wrong = (index: number) => `rw_0123456789_${String(index).padStart(43, 'A')}`;
      expect((await from('203.0.113.1', everything)).status).to.equal(200);
      const answers = await Promise.all(Array.from({ length: 80 }, (_, index) => from('203.0.113.1', wrong(index))));
      const statuses = answers.map(({ status }) => status).sort();
      expect(statuses).to.deep.equal([...Array(60).fill(401), ...Array(20).fill(429)]);
      const refused = await from('203.0.113.1', wrong(100));
      expect([refused.status, refused.json.code, refused.headers.get('www-authenticate')]).to.deep.equal([
        429,
        'rate-limited',
        null,
      ]);
      expect(Number(refused.headers.get('retry-after'))).to.be.within(1, 60);
      expect((await from('203.0.113.1', everything)).status, 'a good key').to.equal(200);
      expect((await from('203.0.113.1', unused)).status, 'a good key that was not used before').to.equal(200);
      expect((await from('203.0.113.2', wrong(1))).status, 'another client').to.equal(401);

      const lines = server.log
        .split('\n')
        .filter((line) => line.includes('203.0.113.') && line.includes('wrong API key'));
      expect(lines).to.have.lengthOf(61);
      const { level, client, key: handle } = JSON.parse(lines[0] as string);
      expect({ level, client, handle }).to.deep.equal({
        level: 'warn',
        client: '203.0.113.1',
        handle: 'rw_0123456789',
      });
      expect(server.log).to.not.include(wrong(1).slice(14));
    });

    it('for an export without the scope for it', async () => {
      const lines = { headers: { Accept: 'application/jsonl' } };
      expect((await ask('GET', '/api/messages', await keyFor({ scopes: ['read', 'write'] }), lines)).status).to.equal(
        403,
      );
      expect((await ask('GET', '/api/messages', await keyFor({ scopes: ['export'] }), lines)).status).to.equal(200);
      const unknown = await ask('GET', '/api/messages?form=nowhere', await keyFor({ scopes: ['export'] }), lines);
      expect([unknown.status, unknown.json.code], 'before anything is sent').to.deep.equal([404, 'form-unknown']);
    });
  });

  it('never logs a key, and records its use at most once a minute', async () => {
    const key = await keyFor({ name: 'used' });
    const lastUse = async () =>
      (await db.query<{ at: Date | null }>(`select last_used_at as at from api_keys where name = 'used'`))[0]?.at;
    expect(await lastUse()).to.equal(null);
    await ask('GET', '/api/emails', key);
    const first = await lastUse();
    expect(first).to.be.instanceOf(Date);
    await ask('GET', '/api/emails', key);
    expect(await lastUse()).to.deep.equal(first);
    await db.query(`update api_keys set last_used_at = now() - interval '61 seconds' where name = 'used'`);
    const before = await lastUse();
    await ask('GET', '/api/emails', key);
    expect(await lastUse()).to.be.above(before as Date);
    expect(server.log).to.not.include(key.slice(14));
  });

  it('allows 300 requests per key at once, then asks to wait', async () => {
    const key = await keyFor();
    // A few at a time, so that a slow machine rejects none for another reason.
    const answers: Answer[] = [];
    while (answers.length < 5000 && answers.every((it) => it.status === 200)) {
      answers.push(...(await Promise.all(Array.from({ length: 20 }, () => ask('GET', '/api/emails', key)))));
    }
    const refused = answers.filter((it) => it.status !== 200);
    expect(answers.length - refused.length).to.be.at.least(300);
    expect(refused[0]?.status).to.equal(429);
    expect(refused[0]?.json.code).to.equal('rate-limited');
    expect(Number(refused[0]?.headers.get('retry-after'))).to.be.within(1, 60);
    expect(refused[0]?.headers.get('www-authenticate')).to.equal(null);
    expect((await get('/api/emails')).status, 'another key').to.equal(200);
    const [forbidden, statuses] = [await keyFor({ scopes: ['write'] }), new Set<number>()];
    for (let asked = 0; asked < 1000 && !statuses.has(429); asked += 20) {
      const more = await Promise.all(Array.from({ length: 20 }, () => ask('GET', '/api/emails', forbidden)));
      for (const { status } of more) statuses.add(status);
    }
    expect([...statuses], 'also of what it may not do').to.deep.equal([403, 429]);
  });

  describe('shows', () => {
    let stored: Stored[];

    beforeEach(async () => {
      stored = await buildMessages(context, 5, (index) => (index === 3 ? { _gotcha: 'x' } : {}));
      await settleDue(context, () => mailOutcomes.refused);
    });

    it('lists and single items in the format of the command line', async () => {
      const [email] = (await command('emails', 'list')).items;
      const [sender] = (await command('senders', 'list')).items;
      const pairs: [string, string[]][] = [
        ['/api/senders', ['senders', 'list']],
        ['/api/senders?limit=2', ['senders', 'list', '--limit', '2']],
        [`/api/senders/${sender.id}`, ['senders', 'show', sender.id]],
        ['/api/messages', ['messages', 'list']],
        ['/api/messages?status=held&form=contact', ['messages', 'list', '--status', 'held', '--form', 'contact']],
        [`/api/messages?sender=${sender.id}`, ['messages', 'list', '--sender', sender.id]],
        ['/api/messages?since=2030-01-01', ['messages', 'list', '--since', '2030-01-01']],
        [
          `/api/messages?until=${stored[2]?.receivedAt.toISOString()}`,
          ['messages', 'list', '--until', stored[2]?.receivedAt.toISOString() ?? ''],
        ],
        [`/api/messages/${stored[1]?.id}`, ['messages', 'show', stored[1]?.id ?? '']],
        [`/api/messages/${stored[1]?.receipt}`, ['messages', 'show', stored[1]?.id ?? '']],
        ['/api/emails?state=failed&kind=auto-reply', ['emails', 'list', '--state', 'failed', '--kind', 'auto-reply']],
        [`/api/emails/${email.id}`, ['emails', 'show', email.id]],
      ];
      for (const [path, args] of pairs) {
        const answer = await get(path);
        expect(answer.status, path).to.equal(200);
        expect(answer.json, path).to.deep.equal(await command(...args));
      }
    });

    it('responses as the OpenAPI document describes them', async () => {
      const [email] = (await get('/api/emails')).json.items;
      const shapes: [string, keyof typeof adminShapes][] = [
        ['/api/senders', 'SenderPage'],
        [`/api/senders/${(await get('/api/senders')).json.items[0].id}`, 'Sender'],
        ['/api/messages', 'MessagePage'],
        [`/api/messages/${stored[1]?.id}`, 'MessageDetails'],
        ['/api/emails', 'EmailPage'],
        [`/api/emails/${email.id}`, 'EmailDetails'],
      ];
      for (const [path, name] of shapes) {
        const { json } = await get(path);
        const parsed = adminShapes[name].parse(json);
        expect(parsed, `${path}: nothing but what is described`).to.deep.equal(json);
      }
    });

    it('one page at a time, by the cursor or the Link header', async () => {
      const seen: string[] = [];
      let path = '/api/messages?limit=2&form=contact';
      for (;;) {
        const answer = await get(path);
        seen.push(...answer.json.items.map((it: { receipt: string }) => it.receipt));
        const link = answer.headers.get('link');
        if (answer.json.next === null) {
          expect(link).to.equal(null);
          break;
        }
        const next = /^<https:\/\/forms\.example\.test\/base(\/api\/messages\?.*)>; rel="next"$/.exec(link ?? '')?.[1];
        expect(new URLSearchParams(next?.split('?')[1])).to.deep.equal(
          new URLSearchParams({ limit: '2', form: 'contact', cursor: answer.json.next }),
        );
        path = next ?? '';
      }
      expect(seen).to.deep.equal(stored.map((it) => it.receipt).toReversed());
    });

    it('nothing for a query that it does not understand', async () => {
      for (const query of [
        'limit=0',
        'limit=201',
        'limit=x',
        'status=hold',
        'sendr=x',
        'since=2d',
        'form=a&form=b',
        'cursor=x',
      ]) {
        const answer = await get(`/api/messages?${query}`);
        expect(answer.status, query).to.equal(400);
        expect(answer.json.code, query).to.equal('argument-invalid');
      }
      expect((await get('/api/messages?form=nothing')).json.code).to.equal('form-unknown');
      expect((await get('/api/messages/nothing')).json.code).to.equal('message-unknown');
    });

    it('404 for an impossible form or sender, with NUL, and as JSON Lines too', async () => {
      const lines = { headers: { Accept: 'application/jsonl' } };
      for (const [query, code] of [
        ['form=%00', 'form-unknown'],
        ['form=a%00b', 'form-unknown'],
        ['form=Nothing%20at%20all', 'form-unknown'],
        ['sender=%00', 'sender-unknown'],
      ]) {
        const answers = [
          await get(`/api/messages?${query}`),
          await ask('GET', `/api/messages?${query}`, everything, lines),
          ...(query?.startsWith('form') ? [await get(`/api/emails?${query}`)] : []),
        ];
        for (const answer of answers) expect([answer.status, answer.json.code], query).to.deep.equal([404, code]);
      }
      for (const address of ['ada@example.test', 'ada%40example.test', '%00@']) {
        const answers = [await get(`/api/messages?sender=${address}`)];
        answers.push(await ask('GET', `/api/messages?sender=${address}`, everything, lines));
        for (const { status, json } of answers) expect([status, json.code]).to.deep.equal([400, 'argument-invalid']);
        expect(answers[0]?.json.detail).to.include('/api/senders/search');
      }
      for (const path of ['messages', 'senders', 'emails'])
        expect((await get(`/api/${path}/%00`)).status).to.equal(404);
      expect(server.log).to.not.include('database away');
    });

    it('400 for a time out of range, and accepts the limits', async () => {
      const lines = { headers: { Accept: 'application/jsonl' } };
      for (const [query, status] of [
        ['since=0000-01-01', 400],
        ['since=1969-12-31T23:59:59Z', 400],
        ['since=1970-01-01T00:00:00%2B01:00', 400],
        ['until=9999-12-31T23:59:59-23:59', 400],
        ['since=1970-01-01', 200],
        ['until=9999-12-31T23:59:59Z', 200],
      ] as const) {
        const answers = [
          await get(`/api/messages?${query}`),
          await get(`/api/emails?${query}`),
          await ask('GET', `/api/messages?${query}`, everything, lines),
        ];
        for (const answer of answers) {
          expect(answer.status, query).to.equal(status);
          if (status === 400) expect(answer.json.code).to.equal('argument-invalid');
          else expect(answer.text).to.include(stored[0]?.id);
        }
      }
      const far = Buffer.alloc(24);
      far.writeBigInt64BE(-8_640_000_000_000_000n);
      expect((await get(`/api/senders?cursor=${far.toString('base64url')}`)).status).to.equal(400);
    });

    it('only its own forms to a key limited to some forms', async () => {
      const shop = await keyFor({ forms: ['shop'] });
      await db.query(`update messages set form_id = (select id from forms where slug = 'shop') where id = $1`, [
        stored[0]?.id,
      ]);
      const [email] = (await command('emails', 'list', '--form', 'contact')).items;
      const mine = await ask('GET', '/api/messages', shop);
      expect(mine.json.items.map((it: { id: string }) => it.id)).to.deep.equal([stored[0]?.id]);
      const emails = await ask('GET', '/api/emails', shop);
      expect(emails.json.items).to.deep.equal((await command('emails', 'list', '--form', 'shop')).items);
      for (const which of [stored[0]?.id, 'latest']) {
        expect((await ask('GET', `/api/messages/${which}`, shop)).json.id, which).to.equal(stored[0]?.id);
      }
      for (const [method, path, status] of [
        ['GET', '/api/messages?form=contact', 404],
        ['GET', `/api/messages/${stored[1]?.id}`, 404],
        ['DELETE', `/api/messages/${stored[1]?.id}`, 404],
        ['POST', `/api/messages/${stored[1]?.id}/hold`, 404],
        ['POST', `/api/messages/${stored[3]?.id}/release`, 404],
        ['GET', `/api/emails/${email.id}`, 404],
        ['POST', `/api/emails/${email.id}/resend`, 404],
        ['POST', `/api/emails/${email.id}/cancel`, 404],
        ['GET', `/api/messages?sender=${unknownId}`, 403],
        ['GET', '/api/senders', 403],
        ['GET', `/api/senders/${unknownId}/export`, 403],
        ['POST', '/api/senders/search', 403],
        ['DELETE', `/api/senders/${unknownId}`, 403],
      ] as const) {
        expect((await ask(method, path, shop)).status, `${method} ${path}`).to.equal(status);
      }
      const lines = await ask('GET', '/api/messages', shop, { headers: { Accept: 'application/jsonl' } });
      expect(
        lines.text
          .trimEnd()
          .split('\n')
          .map((it) => JSON.parse(it).id),
      ).to.deep.equal([stored[0]?.id]);
      expect(await db.count('messages')).to.equal(5);
    });

    it('a full export, as the command line does', async () => {
      const answer = await ask('GET', '/api/messages?form=contact', everything, {
        headers: { Accept: 'application/jsonl' },
      });
      expect(answer.status).to.equal(200);
      expect(answer.headers.get('content-type')).to.equal('application/jsonl; charset=utf-8');
      expect(answer.headers.get('vary')).to.match(/accept/i);
      expect(answer.text).to.equal((await runHere(['messages', 'export', '--format', 'jsonl'], db)).stdout);
      expect(audited().at(-1)).to.include({ audit: 'messages-exported', msg: 'exported by key' });
    });
  });

  it('aborts an export that fails, so that half does not look complete', async () => {
    await buildMessages(context, 1);
    await db.query(
      `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
         'id', lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000', 'receipt', 'RW-' || lpad(n::text, 10, '0'),
         'reasons', array[repeat('x', 10000)])) as m
       from messages, generate_series(1, 2000) as n) as copies`,
    );
    const response = await fetch(`${server.url}/api/messages`, {
      headers: { Authorization: `Bearer ${everything}`, Accept: 'application/jsonl' },
    });
    const reader = response.body?.getReader();
    await reader?.read();
    await db.query('alter table messages rename to messages_away');
    try {
      let ended: unknown;
      while (ended === undefined)
        ended = await reader?.read().then(
          (it) => (it.done ? 'whole' : undefined),
          () => 'broken',
        );
      expect(ended).to.equal('broken');
      await until('the log tells of it', () => server.log.includes('export failed'));
    } finally {
      await db.query('alter table messages_away rename to messages');
    }
  });

  describe('changes', () => {
    it('a message: held and released, each with one log line', async () => {
      const [stored] = await buildMessages(context, 1);
      const before = audited().length;
      const held = await ask('POST', `/api/messages/${stored?.id}/hold`, everything);
      expect(held.status).to.equal(200);
      expect(held.json).to.deep.equal(await command('messages', 'show', stored?.id ?? ''));
      expect(held.json).to.deep.include({ status: 'held', reasons: ['held-by-hand'] });
      expect(held.json.emails.map((it: { state: string }) => it.state)).to.deep.equal(['held', 'held']);
      expect((await ask('POST', `/api/messages/${stored?.id}/hold`, everything)).status).to.equal(200);
      const released = await ask('POST', `/api/messages/${stored?.receipt}/release`, everything);
      expect(released.json.status).to.equal('accepted');
      expect(await db.emails()).to.deep.equal({ 'auto-reply cancelled': 1, 'notification queued': 1 });
      const [key] = await db.query<{ id: string }>(`select id from api_keys order by id limit 1`);
      const lines = audited()
        .slice(before)
        .map(({ audit, key: by, message, msg }) => ({ audit, by, message, msg }));
      expect(lines).to.deep.equal([
        { audit: 'message-held', by: key?.id, message: stored?.id, msg: 'changed by key' },
        { audit: 'message-released', by: key?.id, message: stored?.id, msg: 'changed by key' },
      ]);
    });

    it('with a key that may not read: the answers have only the id and the state', async () => {
      const [stored] = await buildMessages(context, 1);
      const [email] = (await command('emails', 'list')).items;
      const [sender] = (await command('senders', 'list')).items;
      const writer = await keyFor({ scopes: ['write'] });
      const change = async (path: string) => (await ask('POST', `/api/${path}`, writer)).json;
      const { id } = stored as Stored;
      expect(await change(`messages/${id}/hold`)).to.deep.equal({ id, status: 'held' });
      expect(await change(`messages/${stored?.receipt}/release`)).to.deep.equal({ id, status: 'accepted' });
      expect(await change(`emails/${email.id}/cancel`)).to.deep.equal({ id: email.id, state: 'cancelled' });
      const resent = await ask('POST', `/api/emails/${email.id}/resend`, writer, {
        body: '{"again":true}',
        headers: { 'Content-Type': 'application/json' },
      });
      expect(resent.text).to.not.include('@');
      const { json } = await patch(`/api/senders/${sender.id}`, { blocked: true, suppressed: false }, writer);
      expect(json).to.have.all.keys('id', 'blockedAt', 'suppressedAt');
      expect(json).to.include({ id: sender.id, suppressedAt: null });
    });

    it('no message whose mail is being sent', async () => {
      const [stored] = await buildMessages(context, 1);
      const { rows: emails } = await claimDue(openScope(context), 5);
      const held = await ask('POST', `/api/messages/${stored?.id}/hold`, everything);
      expect([held.status, held.json.code]).to.deep.equal([409, 'email-leased']);
      for (const verb of ['resend', 'cancel']) {
        const answer = await ask('POST', `/api/emails/${emails[0]?.id}/${verb}`, everything);
        expect([answer.status, answer.json.code], verb).to.deep.equal([409, 'email-leased']);
      }
    });

    it('a message: deleted once', async () => {
      const [stored] = await buildMessages(context, 2);
      const before = audited().length;
      const [gone, again] = [
        await ask('DELETE', `/api/messages/${stored?.id}`, everything),
        await ask('DELETE', `/api/messages/${stored?.id}`, everything),
      ];
      expect([gone.status, gone.text, again.status]).to.deep.equal([204, '', 404]);
      expect([await db.count('messages'), await db.count('senders')]).to.deep.equal([1, 2]);
      expect(audited().slice(before)).to.have.lengthOf(1);
    });

    it('a sender: blocked, unblocked, and erased with everything', async () => {
      await buildMessages(context, 3, (index) => (index < 2 ? { email: 'Ada@example.test' } : {}));
      await settleDue(context, () => mailOutcomes.accepted);
      const [, { id }] = (await command('senders', 'list')).items;
      const blocked = await patch(`/api/senders/${id}`, { blocked: true });
      expect(blocked.status).to.equal(200);
      expect(blocked.json).to.deep.equal(await command('senders', 'show', id));
      expect(blocked.json.blockedAt).to.match(/^\d{4}-/);
      expect((await patch(`/api/senders/${id}`, { blocked: true })).json).to.deep.equal(blocked.json);
      expect((await patch(`/api/senders/${id}`, { blocked: false })).json.blockedAt).to.equal(null);
      for (const body of [{}, { blocked: 'yes' }, { blocked: true, name: 'x' }, []]) {
        expect((await patch(`/api/senders/${id}`, body)).json.code, JSON.stringify(body)).to.equal('argument-invalid');
      }
      const suppressed = await patch(`/api/senders/${id}`, { suppressed: true });
      expect(suppressed.json).to.deep.equal(await command('senders', 'show', id));
      expect([suppressed.json.blockedAt, typeof suppressed.json.suppressedAt]).to.deep.equal([null, 'string']);
      await http.post('/api/messages', submission({ email: 'ada@example.test', message: 'Without a reply' }));
      await db.query(`update reply_days set replied_at = replied_at - interval '1 day'`);
      expect((await db.emails())['auto-reply queued']).to.equal(undefined);
      const both = await patch(`/api/senders/${id}`, { suppressed: false, blocked: false });
      expect(both.json).to.include({ blockedAt: null, suppressedAt: null });
      expect(
        audited()
          .slice(-3)
          .map((it) => it.audit),
      ).to.deep.equal(['sender-suppressed', 'sender-unblocked', 'sender-unsuppressed']);
      await http.post('/api/messages', submission({ email: 'ada@example.test', message: 'With one' }));
      expect((await db.emails())['auto-reply queued']).to.equal(1);
      const erased = await ask('DELETE', `/api/senders/${id}`, everything);
      expect([erased.status, erased.text]).to.deep.equal([204, '']);
      expect([
        await db.count('senders'),
        await db.count('messages'),
        await db.count('emails'),
        await db.count('attempts'),
      ]).to.deep.equal([1, 1, 2, 2]);
      expect(audited().at(-1)).to.include({ audit: 'sender-erased', sender: id, messages: 4 });
      expect(await db.query('select from erasures')).to.have.lengthOf(1);
      expect((await ask('DELETE', `/api/senders/${id}`, everything)).status).to.equal(404);
    });

    it('an email: resent and cancelled', async () => {
      await buildMessages(context, 1);
      await settleDue(context, (email) => (email.kind === 'auto-reply' ? mailOutcomes.accepted : mailOutcomes.refused));
      const { items } = await command('emails', 'list');
      const idOf = (kind: string) => items.find((it: { kind: string }) => it.kind === kind).id;
      const resent = await ask('POST', `/api/emails/${idOf('notification')}/resend`, everything);
      expect(resent.json).to.deep.equal({
        id: idOf('notification'),
        result: 'queued',
        newId: null,
        code: null,
        reason: null,
      });
      const cancelled = await ask('POST', `/api/emails/${idOf('notification')}/cancel`, everything);
      expect(cancelled.json).to.deep.equal(await command('emails', 'show', idOf('notification')));
      expect(cancelled.json.state).to.equal('cancelled');
      expect((await ask('POST', `/api/emails/${idOf('notification')}/cancel`, everything)).status).to.equal(200);
      const sent = idOf('auto-reply');
      const [no, cancelSent] = [
        await ask('POST', `/api/emails/${sent}/resend`, everything),
        await ask('POST', `/api/emails/${sent}/cancel`, everything),
      ];
      expect([no.status, no.json.code]).to.deep.equal([409, 'email-not-resendable']);
      expect(no.json.detail).to.equal('the email was sent: needs {"again":true}');
      expect([cancelSent.status, cancelSent.json.code]).to.deep.equal([409, 'email-not-cancellable']);
      const again = await ask('POST', `/api/emails/${sent}/resend`, everything, {
        body: '{"again":true}',
        headers: { 'Content-Type': 'application/json' },
      });
      expect(again.json).to.include({ result: 'queued' });
      expect(audited().at(-1)).to.include({ audit: 'email-resent', email: sent, newEmail: again.json.newId });
    });

    it('finds a sender by an address in the body, and exports everything held', async () => {
      await buildMessages(context, 2);
      const search = (body: unknown) =>
        ask('POST', '/api/senders/search', everything, {
          body: JSON.stringify(body),
          headers: { 'Content-Type': 'application/json' },
        });
      const found = await search({ email: 'ADA@example.test' });
      expect(found.json).to.deep.equal(await command('senders', 'show', '--email', 'ada@example.test'));
      expect((await search({ email: 'nobody@example.test' })).json.code).to.equal('sender-unknown');
      for (const wrong of [{}, { email: 'nobody' }, { email: 1 }, { mail: 'ada@example.test' }]) {
        expect((await search(wrong)).json.code, JSON.stringify(wrong)).to.equal('argument-invalid');
      }
      const all = await ask('GET', `/api/senders/${found.json.id}/export`, everything);
      expect(all.headers.get('content-type')).to.equal('application/json; charset=utf-8');
      const { exportedAt, ...held } = all.json;
      const { exportedAt: later, ...same } = await command('senders', 'export', found.json.id);
      expect(held).to.deep.equal(same);
      expect([typeof exportedAt, typeof later]).to.deep.equal(['string', 'string']);
      expect(held.messages).to.have.lengthOf(1);
      expect(audited().at(-1)).to.include({ audit: 'sender-exported', sender: found.json.id });
    });

    it('and never logs whose data it was', () => {
      expect(audited().length).to.be.above(5);
      expect(server.log).to.not.match(/@example\.test|Lovelace|Hello there/);
    });
  });
});
