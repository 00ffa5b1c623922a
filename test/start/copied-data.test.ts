import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { programPath } from '../support/built-program.ts';
import { blocksOf } from '../support/documents.ts';
import { placeCluster } from '../support/embedded-server.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';

/** A block of docs/operating/backups.md, by its first line. */
function readBlock(firstLine: string): string {
  const block = blocksOf('docs/operating/backups.md').find((it) => it.text.startsWith(`# ${firstLine}\n`));
  if (block === undefined) throw new Error(`docs/operating/backups.md has no block "${firstLine}"`);
  return block.text;
}

async function runShell(script: string, cwd: string, env: Record<string, string>): Promise<void> {
  await promisify(execFile)('bash', ['-c', `set -euo pipefail\n${script}`], {
    cwd,
    env: { PATH: process.env.PATH, ...env },
  });
}

async function startIn(folder: string): Promise<{ server: RunningServer; settings: Settings }> {
  const settings: Settings = { DATA_DIR: join(folder, 'data'), ENCRYPTION_KEYS: undefined };
  return { settings, server: await RunningServer.start(settings, ['serve', '--migrate']) };
}

describe('a copy of the data folder', () => {
  it('starts in another place, readable, without the person erased since', async () => {
    await using opened = new AsyncDisposableStack();
    const { path } = opened.use(await temporaryFolder());
    const [old, restored] = [join(path, 'old'), join(path, 'restored')];
    const [backups, safe] = [join(path, 'backups'), join(path, 'safe')];
    for (const folder of [old, restored, backups, safe]) await mkdir(folder);
    await placeCluster(join(old, 'data'));
    const places = { BACKUPS: backups, SAFE: safe };

    const first = await startIn(old);
    opened.use(first.server);
    const http = clientOf(first.server.url);
    const kept = await http.post('/api/messages', submission({ email: 'ada@example.test', message: 'Kept' }));
    await http.post('/api/messages', submission({ email: 'grace@example.test', message: 'Erased later' }));
    expect(await first.server.stop()).to.deep.equal({ code: 0, signal: null });
    await runShell(readBlock('with the server stopped'), old, places);
    const [copy = ''] = await readdir(backups);
    expect(await readdir(join(backups, copy)), 'the keys lie elsewhere').to.not.include('encryption.keys');

    const second = await startIn(old);
    opened.use(second.server);
    const erased = await ruffinweb(['senders', 'erase', '--email', 'grace@example.test', '--yes'], second.settings);
    expect(erased.code, erased.stderr).to.equal(0);
    const hourly = readBlock('every hour').replace('ruffinweb senders', `"$RUFFINWEB" senders`);
    await runShell(hourly, old, { ...places, RUFFINWEB: programPath(), DATA_DIR: join(old, 'data') });
    expect(await readFile(join(safe, 'erasures.jsonl'), 'utf8')).to.not.equal('');
    await second.server.stop();

    const day = copy.replace('data-', '');
    await runShell(readBlock('from the copy').replace(/^npm start$/m, ''), restored, { ...places, day });
    const [before, after] = await Promise.all([old, restored].map((it) => stat(join(it, 'data/postgres'))));
    expect([after?.uid, after?.gid, after?.mode]).to.deep.equal([before?.uid, before?.gid, before?.mode]);
    const third = await startIn(restored);
    opened.use(third.server);
    const shown = await ruffinweb(['messages', 'show', kept.json.receipt, '--json'], third.settings);
    expect(JSON.parse(shown.stdout)).to.include({ message: 'Kept', email: 'ada@example.test' });
    const senders = await ruffinweb(['senders', 'list', '--json'], third.settings);
    expect(JSON.parse(senders.stdout).items.map((it: { email: string }) => it.email)).to.deep.equal([
      'ada@example.test',
    ]);
    const posted = await clientOf(third.server.url).post('/api/messages', submission({ message: 'Goes on' }));
    expect(posted.status).to.equal(201);
    expect(await third.server.stop()).to.deep.equal({ code: 0, signal: null });
  }).timeout(180_000);
});
