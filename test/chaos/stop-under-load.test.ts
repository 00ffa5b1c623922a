import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import pg from 'pg';
import { joinEmbedded, startEmbedded } from '../../src/database/embedded/embedded.ts';
import { findPostmaster } from '../../src/database/embedded/postmaster.ts';
import { placeCluster } from '../support/embedded-server.ts';
import { PostLoad } from '../support/post-load.ts';
import { RunningServer, type Settings, temporaryFolder } from '../support/program.ts';
import { ctrlC, TerminalProgram } from '../support/terminal-program.ts';

/** `/usr/bin/node` may be an older version: then the launcher passes Ctrl-C on a second time. */
const commands = [
  'exec npm start',
  `exec ${existsSync('/usr/bin/node') ? '/usr/bin/' : ''}node bin/ruffinweb.js serve`,
];

describe('stopping by signals under load, with the embedded PostgreSQL', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let settings: Settings;
  const receipts: string[] = [];

  before(async () => {
    folder = await temporaryFolder();
    settings = { DATA_DIR: folder.path };
    await placeCluster(folder.path);
    await (await RunningServer.start(settings, ['serve', '--migrate'])).stop();
  });
  after(async () => {
    // After a failed test: a start adopts the running server and stops it.
    if (await postmaster()) await (await startEmbedded(folder.path)).stop();
    await folder[Symbol.asyncDispose]();
  });

  const postmaster = async () => await findPostmaster(join(await realpath(folder.path), 'postgres'));

  /** Visitors post while the server stops; every post with a receipt is recorded. */
  async function stopUnderLoad(url: string, stop: () => Promise<unknown>): Promise<void> {
    await using load = new PostLoad([url]);
    await load.goesOn(30);
    await stop();
    await load.stop();
    receipts.push(...load.acknowledged.map((it) => it.receipt));
    expect(await postmaster(), 'the PostgreSQL of this folder').to.equal(undefined);
  }

  it('exits with code 0 on Ctrl-C in a terminal, twenty times', async function () {
    this.timeout(600_000);
    for (let round = 0; round < 20; round++) {
      const terminal = new TerminalProgram(commands[round % commands.length] ?? '', settings);
      await stopUnderLoad(await terminal.url(), async () => {
        expect(await terminal.type(ctrlC), terminal.output.slice(-2000)).to.equal(0);
      });
    }
  });

  it('exits on two SIGTERMs 10 ms apart, and on SIGHUP alone', async () => {
    for (const signals of [['SIGTERM', 'SIGTERM'], ['SIGHUP']] as const) {
      await using server = await RunningServer.start(settings);
      await stopUnderLoad(server.url, async () => {
        for (const signal of signals.slice(1)) {
          server.signal(signal);
          await pause(10);
        }
        expect(await server.stop(signals[0])).to.deep.equal({ code: 0, signal: null });
      });
    }
  });

  it('stores every post that was answered 201', async () => {
    await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
    const client = new pg.Client({ connectionString: await joinEmbedded(folder.path) });
    await client.connect();
    const { rows } = await client.query<{ receipt: string }>('select receipt from messages');
    await client.end();
    const stored = new Set(rows.map((it) => it.receipt));
    expect(receipts.length).to.be.above(600);
    expect(receipts.filter((it) => !stored.has(it))).to.deep.equal([]);
    await server.stop();
  });
});
