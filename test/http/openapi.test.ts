import { Validator } from '@seriousme/openapi-schema-validator';
import { expect } from 'chai';
import { z } from 'zod';
import { readConfig } from '../../src/config/read-config.ts';
import { openContext, openDatabaseContext } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';
import { openMailingContext } from '../../src/mailing-context.ts';
import { createApp } from '../../src/server/app.ts';
import { describeApi } from '../../src/server/openapi/describe-api.ts';
import type { MediaType, Operation, Schema } from '../../src/server/openapi/document.ts';
import { openPages } from '../../src/server/pages/pages.ts';
import { createKey } from '../../src/services/api-keys/api-keys.ts';
import { checkFields } from '../../src/services/intake/check-fields.ts';
import { openIntake } from '../../src/services/intake/intake.ts';
import { openScope } from '../../src/services/scope.ts';
import { type Answer, type Client, clientOf, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import { testKeys } from '../support/program.ts';
import { type Api, openApi, startServerHere } from '../support/server-here.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { exchange } from '../support/wire.ts';

/** Links in mails, each with its token. */
const inMails = ['GET /unsubscribe', 'POST /unsubscribe', 'GET /release', 'POST /release'];

/** Pages for people, which do not belong in a document for programs. */
const pages = [
  '/',
  '/mailbox',
  '/mailbox/{name}',
  '/mailbox/{name}/html',
  '/docs',
  '/form.css',
  '/form.js',
  '/icon.svg',
  '/openapi.json',
  '/page.js',
  '/style.css',
  '/thanks',
];

describe('openapi.json', () => {
  const api = describeApi('https://forms.example.test');
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  let served: Api;
  let db: TestDatabase;
  let http: Client;

  before(async () => {
    served = await openApi();
    ({ db, http } = served);
  });
  after(async () => {
    await served[Symbol.asyncDispose]();
  });

  const schemaNamed = (schema: Schema): z.ZodType => {
    const named = api.components.schemas[schema.$ref?.replace('#/components/schemas/', '') ?? ''];
    expect(named, `${schema.$ref}`).to.not.equal(undefined);
    return z.fromJSONSchema(named as Parameters<typeof z.fromJSONSchema>[0]);
  };

  it('is a valid OpenAPI 3.1 document, readable by tools on any page', async () => {
    const answer = await http.get('/openapi.json');
    expect(answer.headers.get('content-type')).to.equal('application/json; charset=utf-8');
    expect(answer.headers.get('access-control-allow-origin')).to.equal('*');
    const validator = new Validator();
    const result = await validator.validate(answer.json);
    expect(result.errors ?? []).to.deep.equal([]);
    expect([result.valid, validator.version]).to.deep.equal([true, '3.1']);
    const ids = operations.map((it) => it.operation.operationId);
    expect(new Set(ids)).to.have.lengthOf(ids.length);
  });

  it('describes exactly the routes that are served', async () => {
    const config = readConfig({ DATABASE_URL: db.url, ENCRYPTION_KEYS: testKeys });
    const log = createLog({ level: 'silent', format: 'json' });
    await using context = await openMailingContext(
      await openContext(await openDatabaseContext(config, { log, embedded: 'join', waiting: 'visitor' })),
    );
    await using intake = openIntake(context);
    const app = createApp(context, openPages(config), { stopping: false, mailboxKey: 'key' }, intake);
    const served = app.middleware
      .flatMap(
        (it) => (it as { router?: { stack: { path: string | RegExp; methods: string[] }[] } }).router?.stack ?? [],
      )
      .flatMap(({ path, methods }) => methods.map((method) => `${method} ${withoutSlash(String(path))}`))
      .filter((it) => !it.startsWith('HEAD ') && !inMails.includes(it) && !pages.includes(it.replace(/^GET /, '')));
    const described = operations.map(({ path, method }) => `${method.toUpperCase()} ${withoutSlash(path)}`);
    expect(described.toSorted()).to.deep.equal([...new Set(served)].toSorted());
  });

  it('has examples that match its schemas', () => {
    for (const { path, operation } of operations) {
      const contents = [operation.requestBody, ...Object.values(operation.responses)].flatMap(
        (it): [string, MediaType][] => Object.entries(it?.content ?? {}),
      );
      for (const [type, { schema, example }] of contents) {
        const known = schemaNamed(schema);
        if (example !== undefined) expect(known.safeParse(example).error, `${path} ${type}`).to.equal(undefined);
      }
    }
  });

  it('matches real responses', async () => {
    await using captchaServer = await startServerHere({ DATABASE_URL: db.url, CAPTCHA: 'altcha' });
    const withCaptcha = clientOf(captchaServer.url);
    const answers = [
      ['/api/messages', await http.post('/api/messages', submission())],
      ['/api/messages', await http.post('/api/messages', { email: 'ada', message: '' })],
      ['/api/messages', await http.post('/api/messages', '{')],
      ['/api/messages', await http.post('/api/messages', submission(), { Origin: 'https://elsewhere.example' })],
      ['/api/forms/{slug}/messages', await http.post('/api/forms/contact/messages', submission())],
      ['/api/forms/{slug}/messages', await http.post('/api/forms/nowhere/messages', submission())],
      ['/f/{slug}', await http.post('/f/contact', submission())],
      ['/f/{slug}', await http.post('/f/contact', { email: 'ada' })],
      ['/api/sender/', await http.post('/api/sender/', submission())],
      ['/api/message/', await http.post('/api/message/', { ...submission(), date: '2026-11-22' })],
      ['/api/message/', await http.post('/api/message/', { email: 'ada' })],
      ['/api/message/', await http.post('/api/message/', submission(), { Origin: 'https://elsewhere.example' })],
      ['/api/message/', await http.post('/api/message/', '{')],
      ['/api/sender/', await http.post('/api/sender/', '{')],
      ['/api/sender/', await http.post('/api/sender/', { email: 'ada' })],
      ['/api/send-email', await http.post('/api/send-email', submission())],
      ['/api/captcha', await withCaptcha.get('/api/captcha')],
      ['/api/captcha', await http.get('/api/captcha')],
      ['/livez', await http.get('/livez')],
      ['/readyz', await http.get('/readyz')],
    ] as const;
    for (const [path, answer] of answers) {
      const operation = api.paths[path]?.post ?? api.paths[path]?.get;
      const { [answer.status]: exact, '4XX': otherwise } = operation?.responses ?? {};
      const content = (exact ?? otherwise)?.content ?? {};
      const type = answer.headers.get('content-type')?.split(';')[0] ?? '';
      expect(Object.keys(content), `${path} ${answer.status}`).to.deep.equal([type]);
      expect(schemaNamed(content[type]?.schema ?? {}).safeParse(answer.json).error).to.equal(undefined);
    }
  });

  it('names the errors that are not about a message', async () => {
    await using proxy = await TcpProxy.before(db.url);
    await using server = await startServerHere({
      DATABASE_URL: proxy.urlOf(db.url),
      CAPTCHA: 'altcha',
      RATE_LIMIT: '1/1h',
    });
    await using context = await openTestContext(db);
    const { key } = await createKey(openScope(context), { name: 'openapi', scopes: ['read', 'write'] });
    const other = clientOf(server.url);
    const ask = (method: string, path: string, init: RequestInit = {}) =>
      other.send(path, { method, ...init, headers: { Authorization: `Bearer ${key}`, ...init.headers } });
    const id = '01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a';
    const told: [method: 'get' | 'post' | 'patch', path: string, status: number, answer: Answer][] = [];
    for (const [method, path] of [
      ['patch', '/api/senders/{id}'],
      ['post', '/api/senders/search'],
    ] as const) {
      const target = path.replace('{id}', id);
      const send = (body: string, type: string) =>
        ask(method.toUpperCase(), target, { body, headers: { 'Content-Type': type } });
      told.push(
        [method, path, 413, await send('x'.repeat(5000), 'application/json')],
        [method, path, 415, await send('x', 'text/plain')],
        [method, path, 400, await send('{', 'application/json')],
      );
    }
    const asked = [];
    for (let count = 0; count <= 10; count++) asked.push(await other.get('/api/captcha'));
    told.push(['get', '/api/captcha', 429, asked.at(-1) as Answer]);
    const twice = `GET /api/senders HTTP/1.1\r\nHost: localhost\r\nHost: a\r\nConnection: close\r\n\r\n`;
    expect(await exchange(server.url, twice)).to.match(/^HTTP\/1\.1 400 /);
    expect(await exchange(server.url, twice.replace('localhost\r\nHost: a', 'evil'))).to.match(/^HTTP\/1\.1 421 /);
    for (const { responses } of [api.paths['/api/senders']?.get, api.paths['/api/captcha']?.get] as Operation[])
      expect(responses).to.include.keys('400', '421');
    proxy.mode = 'refuse';
    for (const path of ['/api/senders', '/api/messages', '/api/emails'])
      told.push(['get', path, 503, await ask('GET', path)]);
    for (const [method, path, status, answer] of told) {
      expect(answer.status, `${method} ${path}`).to.equal(status);
      const documented = api.paths[path]?.[method]?.responses[status]?.description;
      expect(documented, `${method} ${path} ${status}`).to.include(`\`${answer.json.code}\``);
    }
  });

  it('names body types, headers, 500 and 421 responses of each route', async () => {
    const formOf = (fields: Record<string, string>) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.set(name, value);
      return form;
    };
    const fields = { email: 'ada@example.test', message: 'x' };
    for (const path of ['/api/sender/', '/api/message/', '/f/{slug}', '/api/messages'] as const) {
      const { content } = api.paths[path]?.post?.requestBody ?? {};
      for (const [type, body] of [
        ['application/x-www-form-urlencoded', new URLSearchParams(fields)],
        ['multipart/form-data', formOf(fields)],
      ] as const) {
        const answer = await http.send(path.replace('{slug}', 'contact'), { method: 'POST', body });
        expect(answer.status, path).to.be.within(200, 201);
        expect(content, path).to.include.keys(type);
      }
    }
    for (const path of ['/api/messages', '/api/forms/{slug}/messages', '/f/{slug}', '/api/message/'] as const)
      expect(
        api.paths[path]?.post?.parameters?.map((it) => it.name),
        path,
      ).to.include('Idempotency-Key');
    const first = await http.post('/f/contact', submission({ message: 'once' }), { 'Idempotency-Key': 'k-f' });
    const other = await http.post('/f/contact', submission({ message: 'other' }), { 'Idempotency-Key': 'k-f' });
    expect([first.status, other.status]).to.deep.equal([200, 422]);

    const asked = 'POST /api/send-email HTTP/1.1\r\nHost: evil\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
    expect(await exchange(served.server.url, asked)).to.match(/^HTTP\/1\.1 421 /);
    expect(api.paths['/api/send-email']?.post?.responses).to.include.keys('202', '4XX');
    for (const { path, operation } of operations) {
      if (operation.tags[0] !== 'Desk' && path !== '/api/captcha') continue;
      expect(operation.responses['500']?.description, path).to.include('`unexpected`');
    }
    await using context = await openTestContext(db);
    const { key } = await createKey(openScope(context), { name: 'broken', scopes: ['read'] });
    await db.query('alter table emails rename column kind to kind_away');
    try {
      const broken = await http.get('/api/emails', { Authorization: `Bearer ${key}` });
      expect([broken.status, broken.json.code]).to.deep.equal([500, 'unexpected']);
    } finally {
      await db.query('alter table emails rename column kind_away to kind');
    }
  });

  it('names the limits used in validation', () => {
    const schema = api.components.schemas.Submission;
    expect(schema?.required).to.deep.equal(['email', 'message']);
    const accepts = (field: string, value: string) => {
      try {
        checkFields(new Map(Object.entries(submission({ [field]: value }))));
        return true;
      } catch {
        return false;
      }
    };
    const limits: [string, number | undefined][] = ['message', 'name', 'subject'].map((name) => [
      name,
      schema?.properties?.[name]?.maxLength,
    ]);
    const others = schema?.additionalProperties as Schema;
    for (const [field, limit] of [...limits, ['other', others.maxLength] as const]) {
      expect(limit, field).to.be.above(0);
      expect(accepts(field, '😀'.repeat(limit ?? 0)), `${field} of ${limit}`).to.equal(true);
      expect(accepts(field, '😀'.repeat((limit ?? 0) + 1)), `${field} of ${limit} and one`).to.equal(false);
    }
    const limit = schema?.properties?.email?.maxLength ?? 0;
    const address = (length: number) => `${'a'.repeat(length - 193)}@${'b.'.repeat(93)}c.test`;
    expect(address(limit)).to.have.lengthOf(limit);
    expect([accepts('email', address(limit)), accepts('email', address(limit + 1))]).to.deep.equal([true, false]);
  });
});

/** As OpenAPI writes it, without the final slash, which the router accepts or not. */
function withoutSlash(path: string): string {
  return path.replaceAll(/:(\w+)/g, '{$1}').replace(/(?<=.)\/$/, '');
}
