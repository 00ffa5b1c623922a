import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { clientOf } from '../support/api.ts';
import { programPath } from '../support/built-program.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { freePort } from '../support/machine-programs.ts';
import { PostLoad } from '../support/post-load.ts';
import { testSettings } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { openUnreadPipe } from '../support/unread-pipe.ts';
import { until } from '../support/until.ts';

describe('a reader of the log that stops reading', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;

  before(async () => {
    db = await createDatabase();
    await db.liftHourlyLimits();
    smtp = await startSmtpServer();
  });
  after(async () => {
    await smtp[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
  });

  const serve = [process.execPath, programPath(), 'serve'];
  for (const [reader, command] of [
    ['a pipe', serve],
    // `script` is the terminal: once it is stopped, it takes a few kilobytes and no more.
    ['a terminal', ['script', '--quiet', '--flush', '--return', '--command', `exec ${serve.join(' ')}`, '/dev/null']],
  ] as const) {
    for (const format of ['json', 'pretty']) {
      it(`(${reader}, ${format}) stops no post, no mail and no stop`, async () => {
        await using pipe = await openUnreadPipe();
        const port = await freePort();
        const [program = '', ...args] = command;
        const child = spawn(program, args, {
          stdio: ['pipe', 'ignore', reader === 'a pipe' ? pipe.fd : 'ignore'],
          env: {
            ...process.env,
            ...testSettings,
            DATABASE_URL: db.url,
            PORT: String(port),
            LOG_LEVEL: 'trace',
            LOG_FORMAT: format,
            SMTP_HOST: smtp.host,
            SMTP_PORT: String(smtp.port),
            MAIL_FROM: 'site@site.test',
            NOTIFY_TO: 'owner@site.test',
            AUTO_REPLY: 'off',
          },
        });
        const ended = once(child, 'close');
        await using _child = { [Symbol.asyncDispose]: async () => void child.kill('SIGKILL') };
        const url = `http://127.0.0.1:${port}`;
        await until('it answers', () =>
          clientOf(url)
            .get('/livez')
            .then(
              ({ status }) => status === 200,
              () => false,
            ),
        );
        if (reader === 'a terminal') child.kill('SIGSTOP');
        await using load = new PostLoad([url]);
        await load.goesOn(500);
        await load.stop();
        expect(load.failures).to.deep.equal([]);
        await until(
          'all mail is sent',
          async () => (await db.emails())['notification sent'] === load.acknowledged.length,
        );
        const pid = reader === 'a pipe' ? child.pid : onlyChildOf(child.pid);
        process.kill(pid ?? 0, 'SIGTERM');
        if (reader === 'a terminal') {
          await until('the server has ended', () => /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
          child.kill('SIGCONT');
        }
        expect(await ended).to.deep.equal([0, null]);
      });
    }
  }
});

function onlyChildOf(pid: number | undefined): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
}
