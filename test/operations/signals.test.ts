import { randomUUID } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import pg from 'pg';
import { joinEmbedded, startEmbedded } from '../../src/database/embedded/embedded.ts';
import { findPostmaster } from '../../src/database/embedded/postmaster.ts';
import { clientOf, submission } from '../support/api.ts';
import { placeCluster } from '../support/embedded-server.ts';
import { RunningServer, type Settings, temporaryFolder } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { ctrlC, TerminalProgram } from '../support/terminal-program.ts';
import { until } from '../support/until.ts';

describe('signals, with the embedded PostgreSQL', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let smtp: SmtpServer;
  let settings: Settings;

  before(async () => {
    folder = await temporaryFolder();
    smtp = await startSmtpServer();
    settings = {
      DATA_DIR: folder.path,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'site@site.test',
      NOTIFY_TO: 'owner@site.test',
      AUTO_REPLY: 'off',
    };
    await placeCluster(folder.path);
    await using server = await RunningServer.start(settings, ['serve', '--migrate']);
    await server.stop();
  });
  after(async () => {
    // After a failed test: a start adopts the running server and stops it.
    if (await postmaster()) await (await startEmbedded(folder.path)).stop();
    await smtp[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const postmaster = async () => await findPostmaster(join(await realpath(folder.path), 'postgres'));
  const post = async (url: string) => {
    expect(
      (await clientOf(url).post('/api/messages', submission({ message: `Hello ${randomUUID()}` }))).status,
    ).to.equal(201);
  };

  /** A server that has a mail past its final dot, so that a stop has something to wait for. */
  async function startWithHeldMail() {
    await using opened = new AsyncDisposableStack();
    // An owner of its own: earlier tests may have left mail in the queue.
    const owner = `owner-${randomUUID()}`;
    const server = opened.use(await RunningServer.start({ ...settings, NOTIFY_TO: `${owner}@site.test` }));
    smtp.answer('dot', 'hold', { to: owner, times: 1 });
    await post(server.url);
    const held = await smtp.heldAfterDot();
    const owned = opened.move();
    return { server, held, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  }

  async function emailStates(): Promise<string[]> {
    await using embedded = await startEmbedded(folder.path);
    const client = new pg.Client({ connectionString: embedded.url });
    await client.connect();
    const { rows } = await client.query<{ state: string }>('select state from emails order by id desc');
    await client.end();
    return rows.map((it) => it.state);
  }

  it('Ctrl-C in the terminal of npm start stops the server once', async () => {
    const terminal = new TerminalProgram('exec npm start', settings);
    await post(await terminal.url());
    expect(await terminal.type(ctrlC), terminal.output).to.equal(0);
    expect(await postmaster()).to.equal(undefined);
  });

  it('SIGTERM to npm start stops the server', async () => {
    const terminal = new TerminalProgram('npm start & read line; kill -TERM $!; wait $!', settings);
    await terminal.url();
    expect(await terminal.type('\n'), terminal.output).to.equal(0);
    expect(await postmaster()).to.equal(undefined);
  });

  it('a terminal that closes stops the server', async () => {
    const terminal = new TerminalProgram('exec node bin/ruffinweb.js serve', settings);
    await post(await terminal.url());
    expect(await postmaster()).to.not.equal(undefined);
    await terminal.close();
    await until('PostgreSQL is gone', async () => (await postmaster()) === undefined);
  });

  it('SIGHUP alone stops the server gracefully', async () => {
    await using started = await startWithHeldMail();
    const { server, held } = started;
    const stopped = server.stop('SIGHUP');
    await server.said(/stopping/);
    held.release();
    expect(await stopped).to.deep.equal({ code: 0, signal: null });
    expect(await postmaster()).to.equal(undefined);
  });

  it('several signals at once count as one', async () => {
    await using started = await startWithHeldMail();
    const { server, held } = started;
    server.signal('SIGTERM');
    server.signal('SIGHUP');
    const stopped = server.stop('SIGINT');
    await server.said(/stopping/);
    held.release();
    expect(await stopped).to.deep.equal({ code: 0, signal: null });
    expect(await postmaster()).to.equal(undefined);
    expect(smtp.messages.length, 'the answer was waited for').to.be.above(0);
    expect((await emailStates())[0]).to.equal('sent');
  });

  it('a later signal hastens the stop, which still ends PostgreSQL', async () => {
    await using started = await startWithHeldMail();
    const { server, held } = started;
    server.signal('SIGTERM');
    await server.said(/stopping/);
    const stoppingAt = performance.now();
    await until('another signal is another one', () => performance.now() - stoppingAt > 2100);
    expect(await server.stop('SIGINT')).to.deep.equal({ code: 130, signal: null });
    expect(await postmaster()).to.equal(undefined);
    held.release();
    expect((await emailStates())[0], 'the answer was not waited for').to.equal('queued');
  });

  it('a later signal also ends a start that waits for a lock', async () => {
    await (await RunningServer.start(settings)).stop('SIGKILL');
    const holder = new pg.Client({ connectionString: await joinEmbedded(folder.path) });
    // PostgreSQL ends under it.
    holder.on('error', () => {});
    await holder.connect();
    await holder.query('begin; select pg_advisory_xact_lock(7226943)');
    await using server = await RunningServer.startCommand(['serve', '--migrate'], { ...settings, PORT: '0' });
    await until('the migration waits', async () => {
      const { rows } = await holder.query('select from pg_locks where not granted');
      return rows.length > 0;
    });
    server.signal('SIGTERM');
    const firstAt = performance.now();
    await until('another signal is another one', () => performance.now() - firstAt > 3000);
    expect(await server.stop('SIGTERM')).to.deep.equal({ code: 130, signal: null });
    expect(await postmaster()).to.equal(undefined);
  });

  it('SIGUSR1, SIGUSR2 and SIGPIPE change nothing, and no debugger listens', async () => {
    await using server = await RunningServer.start(settings);
    for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const) server.signal(signal);
    await post(server.url);
    expect(await server.stop()).to.deep.equal({ code: 0, signal: null });
    expect(server.log).to.not.include('Debugger');
  });

  it('Ctrl-C ends the database that "encryption status" has started for itself', async () => {
    await using status = await RunningServer.startCommand(['encryption', 'status'], settings);
    await until('PostgreSQL starts', postmaster);
    expect(await status.stop('SIGINT')).to.deep.equal({ code: 130, signal: null });
    expect(await postmaster()).to.equal(undefined);
    expect(status.log).to.equal('');
  });
});
