import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { runHere } from './terminal.ts';

const run = promisify(execFile);

describe('completion', () => {
  let folder: string;
  const scripts: Record<string, string> = {};

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ruffinweb-test-'));
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { code, stdout, stderr } = await runHere(['completion', shell], { url: 'nonsense' });
      expect({ code, stderr }, shell).to.deep.equal({ code: 0, stderr: '' });
      scripts[shell] = join(folder, `ruffinweb.${shell}`);
      writeFileSync(scripts[shell], stdout);
    }
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  const ask = `
    source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _ruffinweb
    echo "\${COMPREPLY[@]}"`;
  const complete = async (...words: string[]) =>
    (await run('bash', ['-euo', 'pipefail', '-c', ask, 'bash', scripts.bash ?? '', 'ruffinweb', ...words])).stdout
      .trim()
      .split(' ');

  it('of bash knows commands, options, choices, and where they belong', async () => {
    expect(await complete('')).to.include.members(['serve', 'messages', 'completion', 'help']);
    expect(await complete('se')).to.deep.equal(['serve', 'senders']);
    expect(await complete('messages', '')).to.include.members(['list', 'hold', 'release', 'delete', 'export']);
    expect(await complete('messages', 'export', '--f')).to.deep.equal(['--format', '--form']);
    expect(await complete('messages', 'export', '--format', '')).to.deep.equal(['csv', 'jsonl']);
    expect(await complete('--quiet', 'emails', 'list', '--json', '--state', 'f')).to.deep.equal(['failed']);
    expect(await complete('emails', 'list', '--form', '')).to.deep.equal(['']);
    expect(await complete('keys', 'create', '--no')).to.deep.equal(['--no-color']);
    expect(await complete('nonsense', '')).to.include('serve');
  });

  for (const shell of ['zsh', 'fish']) {
    const isThere = spawnSync(shell, ['--version']).error === undefined;
    (isThere ? it : it.skip)(`of ${shell} is read by it without a complaint`, async () => {
      const { stdout, stderr } = await run(shell, ['-n', scripts[shell] ?? '']);
      expect(stdout + stderr).to.equal('');
    });
  }

  it('is one of three shells, and nothing else', async () => {
    for (const args of [['completion'], ['completion', 'powershell']]) {
      expect((await runHere(args, { url: 'nonsense' })).code, args.join(' ')).to.equal(2);
    }
  });
});
