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

  it('of bash knows commands, options and choices', async () => {
    expect(await complete('')).to.include.members(['serve', 'messages', 'completion', 'help']);
    expect(await complete('se')).to.deep.equal(['serve', 'senders']);
    expect(await complete('messages', '')).to.include.members(['list', 'hold', 'release', 'delete', 'export']);
    expect(await complete('messages', 'export', '--f')).to.deep.equal(['--form', '--format']);
    expect(await complete('messages', 'export', '--format', '')).to.deep.equal(['csv', 'jsonl']);
    expect(await complete('--quiet', 'emails', 'list', '--json', '--state', 'f')).to.deep.equal(['failed']);
    expect(await complete('emails', 'list', '--form', '')).to.deep.equal(['']);
    expect(await complete('keys', 'create', '--no')).to.deep.equal(['--no-color']);
    expect(await complete('nonsense', '')).to.include('serve');
  });

  // If an expected shell is missing, the test fails instead of being skipped.
  const where = (shell: string) =>
    spawnSync(shell, ['--version']).error === undefined || process.env.CI !== undefined ? it : it.skip;
  const wordsOf = (output: string) => output.split('\n').map((line) => line.split(/[\t:]/)[0]);

  where('fish')('of fish knows commands, options, choices, and where they belong', async () => {
    const asked = async (line: string) => {
      const { stdout, stderr } = await run('fish', [
        '--no-config',
        '-c',
        `source $argv[1]; complete -C $argv[2]`,
        scripts.fish ?? '',
        line,
      ]);
      expect(stderr).to.equal('');
      return wordsOf(stdout.trimEnd());
    };
    expect(await asked('ruffinweb ')).to.include.members(['serve', 'messages', 'completion']);
    expect(await asked('ruffinweb se')).to.have.members(['serve', 'senders']);
    expect(await asked('ruffinweb messages export --form')).to.have.members(['--format', '--form']);
    expect(await asked('ruffinweb messages export --format ')).to.have.members(['csv', 'jsonl']);
    expect(await asked('ruffinweb --quiet emails list --json --state f')).to.deep.equal(['failed']);
  });

  where('zsh')('of zsh knows commands, options, choices, and where they belong', async () => {
    // What zsh's own code would be given to show; that code only works in a line editor.
    const script = `
      compdef() { :; }
      compadd() { shift; print -l -- "$@"; }
      _describe() { [[ $1 == -o ]] && shift; print -l -- "\${(@P)2}"; }
      _default() { print files; }
      source "$1"; shift
      words=("$@"); CURRENT=$#words; PREFIX=$words[-1]
      _ruffinweb`;
    const asked = async (...words: string[]) => {
      const { stdout, stderr } = await run('zsh', ['-fc', script, 'zsh', scripts.zsh ?? '', 'ruffinweb', ...words]);
      expect(stderr).to.equal('');
      return wordsOf(stdout.trimEnd());
    };
    expect(await asked('')).to.include.members(['serve', 'messages', 'completion']);
    expect(await asked('messages', '')).to.include.members(['list', 'hold', 'release', 'delete', 'export']);
    expect(await asked('messages', 'export', '--')).to.include.members(['--format', '--form', '--since']);
    expect(await asked('messages', 'export', '--format', '')).to.have.members(['csv', 'jsonl']);
    expect(await asked('--quiet', 'emails', 'list', '--json', '--state', '')).to.include.members(['failed', 'sent']);
    expect(await asked('emails', 'list', '--form', '')).to.deep.equal(['files']);

    const whole = `autoload -Uz compinit && compinit -D && source "$1" && print -r -- "$_comps[ruffinweb]"`;
    const { stdout, stderr } = await run('zsh', ['-fc', whole, 'zsh', scripts.zsh ?? '']);
    expect({ stdout, stderr }, 'zsh takes it up').to.deep.equal({ stdout: '_ruffinweb\n', stderr: '' });
  });

  it('supports three shells and rejects anything else', async () => {
    for (const args of [['completion'], ['completion', 'powershell']]) {
      expect((await runHere(args, { url: 'nonsense' })).code, args.join(' ')).to.equal(2);
    }
  });
});
