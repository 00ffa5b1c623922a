import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { programPath } from '../support/built-program.ts';
import { blocksOf } from '../support/documents.ts';
import { MachinePostgres } from '../support/machine-postgres.ts';
import { describeWith, pathOf, programFolder } from '../support/machine-programs.ts';
import { RunningServer, ruffinweb, type Settings, testKeys } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

interface Step {
  machine: string;
  script: string;
}

/** The shell of the drill, as the document has it; each block's first line says where it runs. */
function readDrill(): Step[] {
  return blocksOf('docs/how-to/restoring.md').map(({ text }) => {
    const [, machine = '', script = ''] = /^# (on the server|on the other machine)\n(.*)$/s.exec(text) ?? [];
    return { machine, script };
  });
}

interface Printed {
  stdout: string;
  stderr: string;
}

/** Runs blocks one after the other in one environment, which `export` in a block changes for the next. */
class Machine {
  readonly #variables: string;
  readonly environment: Record<string, string>;

  constructor(folder: string, environment: Record<string, string>) {
    this.#variables = join(folder, 'variables');
    this.environment = environment;
  }

  async run(script: string, more: Record<string, string> = {}): Promise<Printed> {
    const whole = `set -euo pipefail; [ ! -e ${this.#variables} ] || . ${this.#variables}\n${script}\nexport -p > ${this.#variables}`;
    return await promisify(execFile)('bash', ['-c', whole], { env: { ...this.environment, ...more } }).catch(
      (error: Error & Partial<Printed>) => {
        throw new Error(`${script}\n${error.message}\n${error.stdout}`);
      },
    );
  }
}

const people = ['ada@example.test', 'grace@example.test', 'edith@example.test'];

describeWith(['pg_dump', 'pg_ctl'], 'the drill of docs/how-to/restoring.md', () => {
  const opened = new AsyncDisposableStack();
  let blocks: Step[];
  let server: Machine;
  let other: Machine;
  let settings: Settings;
  let smtp: SmtpServer;
  let safe: string;
  let backups: string;
  let newDatabase: string;
  let otherFolder: string;

  before(async () => {
    blocks = readDrill();
    const [one, two] = [opened.use(await MachinePostgres.start()), opened.use(await MachinePostgres.start())];
    smtp = opened.use(await startSmtpServer());
    const { path } = opened.use(await programFolder('drill'));
    [safe, backups, otherFolder] = [join(path, 'safe'), join(path, 'backups'), join(path, 'other')];
    const ownFolder = join(path, 'server');
    for (const folder of [safe, backups, otherFolder, ownFolder, join(path, 'bin')]) await mkdir(folder);
    const program = join(path, 'bin', 'ruffinweb');
    await writeFile(program, `#!/bin/sh\nexec "${process.execPath}" "${programPath()}" "$@"\n`);
    await chmod(program, 0o755);
    await writeFile(join(ownFolder, 'keys'), testKeys);
    const common = {
      PATH: `${join(path, 'bin')}:${process.env.PATH}:${join(pathOf('pg_dump') ?? '', '..')}`,
      HOME: path,
      LOG_FORMAT: 'json',
      BACKUPS: backups,
      SAFE: safe,
    };
    newDatabase = two.urlOf('ruffinweb');
    settings = {
      DATABASE_URL: one.urlOf('postgres'),
      DATA_DIR: ownFolder,
      ENCRYPTION_KEYS: undefined,
      ENCRYPTION_KEYS_FILE: join(ownFolder, 'keys'),
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'Site <site@site.test>',
      NOTIFY_TO: 'owner@site.test',
      AUTO_REPLY: 'off',
    };
    server = new Machine(ownFolder, {
      ...common,
      ...one.environment,
      DATABASE_URL: one.urlOf('postgres'),
      DATA_DIR: ownFolder,
      ENCRYPTION_KEYS_FILE: join(ownFolder, 'keys'),
    });
    other = new Machine(otherFolder, {
      ...common,
      ...two.environment,
      DATABASE_URL: newDatabase,
      DATA_DIR: join(otherFolder, 'data'),
    });
  });
  after(async () => {
    await opened.disposeAsync();
  });

  it('restores all but erased people, and sends nothing twice', async () => {
    expect(blocks.map((it) => it.machine)).to.deep.equal([
      ...Array(3).fill('on the server'),
      ...Array(5).fill('on the other machine'),
    ]);
    const [dump, keepKeys, keepErasures, restore, check, replay, paused, resume] = blocks.map((it) => it.script);

    // Three people have written; when the backup is made, none of the mail has been sent.
    await ruffinweb(['migrate', 'up'], settings);
    await ruffinweb(['deliver', '--once'], settings);
    await using running = await RunningServer.start(settings, ['serve', '--no-deliver']);
    for (const email of people) await clientOf(running.url).post('/api/messages', submission({ email }));
    await server.run(dump ?? '');
    await server.run(keepKeys ?? '');

    // Then mail is sent, and one of them asks to be erased.
    await ruffinweb(['deliver', '--once'], settings);
    expect(smtp.messages).to.have.lengthOf(3);
    const erased = await ruffinweb(['senders', 'erase', '--email', people[0] ?? '', '--yes'], settings);
    expect(erased.code, erased.stderr).to.equal(0);
    await server.run(keepErasures ?? '');

    const plain = await promisify(execFile)(pathOf('pg_restore') ?? '', ['-f', '-', join(backups, 'ruffinweb.dump')]);
    expect(plain.stdout)
      .to.include('COPY public.messages')
      .and.not.match(/example\.test|Lovelace|Hello there/);
    expect(await readdir(backups), 'no key lies there').to.deep.equal(['ruffinweb.dump']);
    expect(await readFile(join(safe, 'erasures.jsonl'), 'utf8')).to.not.match(/example\.test/);

    await other.run(restore ?? '');
    const looked = await other.run(check ?? '');
    expect(looked.stdout).to.include('ada@example.test').and.include('edith@example.test');
    // The hourly job may run too early: everything missing from the old backup stays in the off-site copy.
    await other.run(keepErasures ?? '');
    expect((await other.run(replay ?? '')).stdout).to.include('1 erasure done again: 1 message and 1 sender are gone');

    const nothingSent = await other.run(paused ?? '');
    expect(`${nothingSent.stdout}${nothingSent.stderr}`)
      .to.include('this database was restored from a backup')
      .and.include('emails resume');
    const mails = () => readdir(join(otherFolder, 'data', 'mail')).catch(() => []);
    expect(await mails()).to.deep.equal([]);

    // The owner can see that one of the two remaining mails has arrived.
    const queued = JSON.parse((await other.run('ruffinweb emails list --state queued --json')).stdout).items;
    expect(queued).to.have.lengthOf(2);
    const arrived = queued.at(0).id;
    const { stdout } = await other.run(resume ?? '', { ARRIVED: arrived });
    expect(stdout).to.include('mail goes on');
    expect(await mails(), 'the other one').to.have.lengthOf(1);
    const listed = JSON.parse((await other.run('ruffinweb emails list --json')).stdout).items;
    expect(listed.map((it: { state: string }) => it.state).toSorted()).to.deep.equal(['cancelled', 'sent']);
    const senders = JSON.parse((await other.run('ruffinweb senders list --json')).stdout).items;
    expect(senders.map((it: { email: string }) => it.email)).to.have.members(people.slice(1));

    // Days later a server starts there that still has the erasure file: everything stays as it was.
    const again = await other.run(replay ?? '');
    expect(again.stdout).to.include('nothing to do');
  });

  it('stops if the keys are wrong', async () => {
    await writeFile(join(safe, 'other-keys'), `k1:${Buffer.alloc(32, 1).toString('base64')}`);
    const wrong = await ruffinweb(['messages', 'list'], {
      DATABASE_URL: newDatabase,
      ENCRYPTION_KEYS: undefined,
      ENCRYPTION_KEYS_FILE: join(safe, 'other-keys'),
    });
    expect(wrong).to.include({ code: 2, stdout: '' });
    expect(wrong.stderr).to.include('is not the key "k1" that this database was written with');
  });
});
