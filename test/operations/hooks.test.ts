import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { HookRequest } from '../../src/hooks/hook-sender.ts';
import { newHookSecret, webhookRequest } from '../../src/hooks/webhook.ts';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase } from '../support/database.ts';
import { blocksOf } from '../support/documents.ts';
import { describeWith, freePort, pathOf } from '../support/machine-programs.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder, testKeys } from '../support/program.ts';
import { Receiver } from '../support/receiver.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const secret = newHookSecret();
const minute = 60_000;

const event = {
  id: '01a20244-3cb4-7109-87e7-3e760cc3c43e',
  type: 'message.accepted',
  at: new Date('2026-11-22T07:59:16.151Z'),
  data: { receipt: 'RW-FA0FRZPJVK', message: { text: 'Zoë wrote “hello” 👋' } },
};

/** @param sent when the attempt is made, in milliseconds from now. */
const signed = (secrets: readonly string[], sent = 0): HookRequest =>
  webhookRequest('http://127.0.0.1', event, secrets, new Date(Date.now() + sent));

const good = () => signed([secret]);

function without(header: string): HookRequest {
  const request = good();
  return { ...request, headers: { ...request.headers, [header]: '' } };
}

const deliveries: [title: string, request: () => HookRequest, status: number][] = [
  ['a delivery', good, 204],
  ['an attempt of four minutes ago', () => signed([secret], -4 * minute), 204],
  ['a delivery signed with the new secret first', () => signed([newHookSecret(), secret]), 204],
  ['a delivery signed with the former secret last', () => signed([secret, newHookSecret()]), 204],
  ['another secret', () => signed([newHookSecret()]), 401],
  ['two other secrets', () => signed([newHookSecret(), newHookSecret()]), 401],
  ['a changed text', () => ({ ...good(), body: good().body.replace('hello', 'hallo') }), 401],
  ['a changed id', () => ({ ...good(), headers: { ...good().headers, 'webhook-id': 'another' } }), 401],
  ['an attempt of six minutes ago', () => signed([secret], -6 * minute), 401],
  ['an attempt six minutes ahead', () => signed([secret], 6 * minute), 401],
  ['no signature', () => without('webhook-signature'), 401],
  ['no time', () => without('webhook-timestamp'), 401],
  ['more than 20 kB', () => ({ ...good(), body: 'x'.repeat(20_481) }), 413],
];

describeWith(['python3'], 'the programs that verify a signature', () => {
  const programs = [
    ['receive.mjs', process.execPath],
    ['receive.py', pathOf('python3') ?? 'python3'],
  ] as const;
  for (const [file, program] of programs) {
    describe(file, () => {
      let folder: Awaited<ReturnType<typeof temporaryFolder>>;
      let child: ChildProcess;
      let url: string;
      let output = '';

      before(async () => {
        folder = await temporaryFolder();
        const text = blocksOf('docs/how-to/verify-webhooks.md').find((it) => it.file === file)?.text;
        await writeFile(join(folder.path, file), text ?? '');
        const port = await freePort();
        url = `http://127.0.0.1:${port}`;
        const env = { ...process.env, WEBHOOK_SECRET: secret, PORT: String(port) };
        child = spawn(program, [file], { cwd: folder.path, env, stdio: ['ignore', 'pipe', 'pipe'] });
        for (const stream of [child.stdout, child.stderr]) {
          stream?.on('data', (bytes: Buffer) => {
            output += bytes.toString();
          });
        }
        await until(`${file} answers`, async () => {
          if (child.exitCode !== null) throw new Error(`${file} ended: ${output}`);
          return await fetch(url, { method: 'POST', body: '' }).catch(() => undefined);
        });
      });
      after(async () => {
        child?.kill();
        await folder?.[Symbol.asyncDispose]();
      });

      for (const [title, make, status] of deliveries) {
        it(`answers ${status} to ${title}`, async () => {
          const { headers, body } = make();
          expect((await fetch(url, { method: 'POST', headers, body })).status).to.equal(status);
        });
      }

      it('prints what it took, with the id', async () => {
        const { headers, body } = good();
        await fetch(url, { method: 'POST', headers, body });
        await until('it is printed', () => output.includes(event.id) && output.includes('RW-FA0FRZPJVK'));
      });
    });
  }
});

/** The names in a JSON value, with the type of each. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (value === null || typeof value !== 'object') return typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, shapeOf(it)]));
}

const examples = new Map(
  blocksOf('docs/webhooks.md').flatMap(({ file, text }) => (file ? [[file, JSON.parse(text)] as const] : [])),
);

describe('the examples of deliveries', () => {
  it('have the fields that deliveries have', async () => {
    await using stack = new AsyncDisposableStack();
    const db = stack.use(await createDatabase());
    const receiver = stack.use(await Receiver.open());
    const smtp = stack.use(await startSmtpServer());
    smtp.answer('rcpt', '550 5.1.1 no such user', { to: 'owner' });
    const settings: Settings = {
      ...{ DATABASE_URL: db.url, ENCRYPTION_KEYS: testKeys, HOOK_ALLOW_HOSTS: '127.0.0.1' },
      ...{ SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), MAIL_FROM: 'forms@example.com' },
      NOTIFY_TO: 'owner@example.com',
    };
    const server = stack.use(await RunningServer.start(settings));
    const run = async (command: string) => {
      const ended = await ruffinweb(command.split(' '), settings);
      expect(ended.code, ended.stderr).to.equal(0);
    };
    await run('forms change contact --name Shop');
    await run(`hooks add ${receiver.url}/ --name full --allow-http --with-content`);
    await run(`hooks add ${receiver.url}/ --name plain --allow-http --events message.accepted`);
    await clientOf(server.url).post('/api/messages', submission({ phone: '+1 555 0100' }));

    const bodies = (await receiver.received(5)).map((it) => JSON.parse(it.body));
    const ofType = (type: string) => bodies.filter((it) => it.type === type);
    const [accepted, failed, content] = ['message.accepted', 'email.failed', 'content'].map((it) => examples.get(it));
    expect(ofType('test').map((it) => it.data)).to.deep.equal([{ hook: 'full' }, { hook: 'plain' }]);
    const shapes = ofType('message.accepted').map(shapeOf);
    expect(shapes).to.deep.include(shapeOf(accepted));
    expect(shapes).to.deep.include(shapeOf({ ...accepted, data: { ...accepted.data, ...content } }));
    const about = { ...accepted.data, ...failed, ...content };
    expect(ofType('email.failed').map(shapeOf)).to.deep.equal([shapeOf({ ...accepted, data: about })]);
  });
});
