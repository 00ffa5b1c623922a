import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { RunningServer, ruffinweb, temporaryFolder } from '../support/program.ts';
import { earlierReleases, unpackRelease } from '../support/releases.ts';

describe('npm start of the next release on the same folder', () => {
  it('keeps database, keys and messages, forward and back one release', async () => {
    await using opened = new AsyncDisposableStack();
    const folder = opened.use(await temporaryFolder());
    const settings = { DATA_DIR: folder.path, ENCRYPTION_KEYS: undefined };
    const release = earlierReleases.at(-1);
    if (release === undefined) throw new Error('the list of releases is empty');
    const old = opened.use(await unpackRelease(release));

    const texts: string[] = [];
    for (const program of [old.program, undefined, old.program, undefined]) {
      await using server = await RunningServer.start(settings, ['serve', '--migrate'], program);
      const message = `Message ${texts.length + 1}`;
      const answer = await clientOf(server.url).post('/api/messages', submission({ message }));
      expect(answer.status, server.log).to.equal(201);
      texts.unshift(message);
      const listed = await ruffinweb(['messages', 'export', '--format', 'jsonl'], settings, '', program);
      expect(listed.code, listed.stderr).to.equal(0);
      const found = listed.stdout.trimEnd().split('\n');
      expect(found.map((line) => JSON.parse(line).message)).to.deep.equal(texts.toReversed());
      expect(await server.stop()).to.deep.equal({ code: 0, signal: null });
    }
  });
});

describe('a clone that lacks the code of a release', () => {
  it('fails with instructions instead of skipping a test', async () => {
    const refusal = await unpackRelease({ version: '0.0.9', commit: '9'.repeat(40) }).catch((error: unknown) => error);
    expect(refusal)
      .to.be.an('error')
      .with.property('message')
      .that.includes('release 0.0.9')
      .and.includes('git fetch --unshallow')
      .and.includes('fetch-depth: 0');
  });
});
