import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { createDatabase } from '../support/database.ts';
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
    ruffinweb() { [[ $* == 'completion slugs' ]] && echo contact && echo shop && echo trouble >&2; }
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _ruffinweb
    echo "\${COMPREPLY[@]}"`;
  const complete = async (...words: string[]) =>
    (await run('bash', ['-euo', 'pipefail', '-c', ask, 'bash', scripts.bash ?? '', 'ruffinweb', ...words])).stdout
      .trim()
      .split(' ');

  it('of bash knows commands, options and choices', async () => {
    expect(await complete('')).to.include.members(['serve', 'messages', 'completion', 'help']);
    expect(await complete('se')).to.deep.equal(['senders', 'serve']);
    expect(await complete('messages', '')).to.include.members(['list', 'hold', 'release', 'delete', 'export']);
    expect(await complete('messages', 'export', '--f')).to.deep.equal(['--form', '--format']);
    expect(await complete('messages', 'export', '--format', '')).to.deep.equal(['csv', 'jsonl']);
    expect(await complete('--quiet', 'emails', 'list', '--json', '--state', 'f')).to.deep.equal(['failed']);
    expect(await complete('emails', 'list', '--since', '')).to.deep.equal(['']);
    expect(await complete('keys', 'create', '--no')).to.deep.equal(['--no-color']);
    expect(await complete('nonsense', '')).to.include('serve');
  });

  it('of bash offers the slugs of forms that exist', async () => {
    for (const words of ['emails list --form', 'import django --form', 'forms show', 'forms change', 'forms close']) {
      expect(await complete(...words.split(' '), ''), words).to.deep.equal(['contact', 'shop']);
      expect(await complete(...words.split(' '), 's'), words).to.deep.equal(['shop']);
    }
    for (const words of ['forms add', 'forms change --slug', 'forms change --to']) {
      expect(await complete(...words.split(' '), ''), words).to.deep.equal(['']);
    }
  });

  it('gets the slugs from the database, and nothing if that is away', async () => {
    await using db = await createDatabase();
    await db.query(`insert into forms (id, slug) values (gen_random_uuid(), 'shop'), (gen_random_uuid(), '$(reboot)')`);
    // Without keys, as in a shell that has only DATABASE_URL.
    const settings = { ENCRYPTION_KEYS: undefined, DATA_DIR: join(folder, 'none') };
    const asked = (url: string) => runHere(['completion', 'slugs'], { url }, { settings });
    expect(await asked(db.url)).to.deep.equal({ code: 0, stdout: 'contact\nshop\n', stderr: '' });
    for (const url of ['postgresql://u@127.0.0.1:1/x', 'embedded', 'nonsense']) {
      expect(await asked(url), url).to.deep.equal({ code: 0, stdout: '', stderr: '' });
    }
    expect(existsSync(settings.DATA_DIR)).to.equal(false);
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
        `function ruffinweb; printf 'contact\\nshop\\n'; end; source $argv[1]; complete -C $argv[2]`,
        scripts.fish ?? '',
        line,
      ]);
      expect(stderr).to.equal('');
      return wordsOf(stdout.trimEnd());
    };
    expect(await asked('ruffinweb ')).to.include.members(['serve', 'messages', 'completion']);
    expect(await asked('ruffinweb se')).to.have.members(['serve', 'senders']);
    expect(await asked('ruffinweb forms show ')).to.deep.equal(['contact', 'shop']);
    expect(await asked('ruffinweb emails list --form s')).to.deep.equal(['shop']);
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
      ruffinweb() { [[ $* == 'completion slugs' ]] && print -l contact shop; }
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
    expect(await asked('emails', 'list', '--since', '')).to.deep.equal(['files']);
    expect(await asked('emails', 'list', '--form', '')).to.have.members(['contact', 'shop']);
    expect(await asked('forms', 'show', '')).to.have.members(['contact', 'shop']);

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
