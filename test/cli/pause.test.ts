import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { pauseQueue } from '../../src/services/delivery/pause/pause.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/program.ts';
import { runHere } from './terminal.ts';

describe('emails pause', () => {
  let db: TestDatabase;
  let context: Context;

  beforeEach(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
  });
  afterEach(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  const pause = async (...args: string[]) => {
    const { code, stdout } = await runHere(['emails', 'pause', ...args, '--json'], db);
    expect(code).to.equal(0);
    return JSON.parse(stdout);
  };

  it('keeps time and reason on a second pause without a reason', async () => {
    const first = await pause('--reason', 'moving\u001b[31m');
    expect(first).to.deep.include({ wasPaused: false });
    expect(await pause()).to.deep.equal({ paused: first.paused, wasPaused: true });
    const { stdout } = await runHere(['emails', 'pause'], db);
    const [already, now] = stdout.split('\n');
    expect(already).to.match(/^was paused already, since (just now|\d+ s ago): /);
    expect(already).to.include('the queue was paused by hand: moving\\u{1b}[31m');
    expect(now).to.equal('paused: nothing is sent until "ruffinweb emails resume"');
    expect(await pause('--reason', 'still')).to.deep.include({ paused: { ...first.paused, reason: 'still' } });
  });

  it("replaces a worker's pause, but not the pause after a restore", async () => {
    await pauseQueue(openScope(context), 'broken', '535 wrong');
    const [row] = await db.query<{ paused_at: Date }>('select paused_at from mail_queue');
    const since = row?.paused_at.toISOString();
    expect((await pause()).paused).to.deep.equal({ cause: 'hand', since, reason: null });
    await pauseQueue(openScope(context), 'restored', null);
    expect((await pause()).paused).to.deep.include({ cause: 'restored', reason: null });
    expect((await pause('--reason', 'I look')).paused).to.deep.include({ cause: 'restored', reason: 'I look' });
    const listed = await runHere(['emails', 'list'], db);
    expect(listed.stderr).to.include('restored from a backup').and.include('(I look)');
  });

  it('is reported by deliver --once, with the number of due emails', async () => {
    await using folder = await temporaryFolder();
    const settings = { DATA_DIR: folder.path };
    await buildMessages(context, 1);
    const { paused } = await pause('--reason', 'moving');
    const told = await runHere(['deliver', '--once'], db, { settings });
    expect(told).to.include({ code: 0, stdout: 'mail is paused: 2 due\n' });
    expect(told.stderr).to.include('paused by hand: moving').and.include('ruffinweb emails resume');
    const json = await runHere(['deliver', '--once', '--json'], db, { settings });
    expect(JSON.parse(json.stdout)).to.deep.equal({ tries: 0, paused, due: 2 });
    await runHere(['emails', 'resume'], db);
    expect((await runHere(['deliver', '--once'], db, { settings })).stdout).to.match(/^2 tries made/);
    expect((await runHere(['deliver', '--once'], db, { settings })).stdout).to.equal('nothing is due\n');
  });
});
