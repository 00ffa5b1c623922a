import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase } from '../support/database.ts';
import { type Block, blocksOf, documents, scriptOf } from '../support/documents.ts';
import { freePort } from '../support/machine-programs.ts';
import { RunningServer, ruffinweb, type Settings, testKeys } from '../support/program.ts';
import { Reader } from '../support/reader.ts';
import { Receiver } from '../support/receiver.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

/** The blocks that a reader runs: commands and files, except those that say why they are not run. */
const toFollow = (document: string): Block[] =>
  blocksOf(document).filter((it) => it.notRun === undefined && (it.file !== undefined || scriptOf(it) !== undefined));

/** Beginners start without settings: an embedded database, and mail in files. */
const fromNothing = (blocks: Block[]): boolean => blocks.some((it) => /^npm start$/m.test(it.text));

describe('a reader who follows the documents', () => {
  for (const document of documents) {
    const blocks = toFollow(document);
    if (!blocks.some((it) => it.file === undefined)) continue;
    it(`gets through ${document}`, async () => {
      await using opened = new AsyncDisposableStack();
      if (fromNothing(blocks)) await beginner(opened, blocks);
      else await operator(opened, blocks);
    });
  }

  it('ends with a page whose form works', async () => {
    await using stack = new AsyncDisposableStack();
    const { reader, url } = await beginner(stack, toFollow('docs/tutorial.md'));
    const page = await readFile(join(reader.folder, 'site/index.html'), 'utf8');
    const action = /action="([^"]+)"/.exec(page)?.[1] ?? '';
    const script = /src="([^"]+)"/.exec(page)?.[1] ?? '';
    expect(action.startsWith(url) && script.startsWith(url)).to.equal(true);
    const answer = await clientOf('').post(action, submission({ message: 'From my page' }), {
      Origin: 'http://localhost:5500',
    });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).to.deep.equal([
      201,
      'http://localhost:5500',
    ]);
    expect((await clientOf('').get(script)).status).to.equal(200);
    const mailbox = await until(
      'the server has printed the address of the mailbox',
      () => /mailbox +(http:\S+)/.exec(Buffer.concat(reader.output).toString())?.[1],
    );
    const opened = await clientOf('').get(mailbox);
    const cookie = (opened.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    expect((await clientOf(new URL(mailbox).origin).get('/mailbox', { Cookie: cookie })).text).to.include(
      'notification',
    );
  });
});

async function beginner(opened: AsyncDisposableStack, blocks: Block[]): Promise<{ reader: Reader; url: string }> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const reader = opened.use(await Reader.open({ PORT: String(port) }));
  const replacements = new Map([
    ['http://localhost:3000', url],
    ['http://127.0.0.1:3000', url],
  ]);
  for (const block of blocks) await reader.follow(block, replacements);
  return { reader, url };
}

/** A reader who already runs a server, and whose shell has its settings. */
async function operator(opened: AsyncDisposableStack, blocks: Block[]): Promise<void> {
  const db = opened.use(await createDatabase());
  const smtp = opened.use(await startSmtpServer());
  const outside = opened.use(await Receiver.open({ https: true }));
  const [port, second] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const settings: Settings = {
    DATABASE_URL: db.url,
    PUBLIC_URL: url,
    ALLOWED_ORIGINS: 'https://example.com',
    SMTP_HOST: smtp.host,
    SMTP_PORT: String(smtp.port),
    MAIL_FROM: 'Example Contact <forms@example.com>',
    NOTIFY_TO: 'owner@example.com',
    ENCRYPTION_KEYS: testKeys,
    HOOK_ALLOW_HOSTS: '127.0.0.1',
    ALERT_URL: `ntfy+${outside.url}/alerts`,
    NODE_EXTRA_CA_CERTS: fileURLToPath(new URL('../support/tls/cert.pem', import.meta.url)),
  };
  opened.use(await RunningServer.start({ ...settings, PORT: String(port) }));
  const posted = await clientOf(url).post('/api/messages', submission());
  const made = await ruffinweb(['keys', 'create', '--name', 'reader', '--scope', 'read', 'write', '--json'], settings);
  const replacements = new Map([
    ['https://forms.example.com', url],
    ['RW-FA0FRZPJVK', posted.json.receipt],
    ['rw_…', JSON.parse(made.stdout).key],
    ['ALERT_URL=https://ntfy.sh', `ALERT_URL=ntfy+${outside.url}`],
    ...['hooks.example.com', 'hooks.slack.com', 'ntfy.sh'].map((host) => [`https://${host}`, outside.url] as const),
  ]);
  const reader = opened.use(await Reader.open({ ...settings, PORT: String(second) }));
  for (const block of blocks) await reader.follow(block, replacements);
}
