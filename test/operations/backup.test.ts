import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { programPath } from '../support/built-program.ts';
import { blocksOf } from '../support/documents.ts';
import { MachinePostgres } from '../support/machine-postgres.ts';
import { describeWith, pathOf, programFolder } from '../support/machine-programs.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder, testKeys } from '../support/program.ts';
import { earlierReleases, unpackRelease } from '../support/releases.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

interface Step {
  machine: string;
  script: string;
}

/** The shell of the drill, as the document has it; each block's first line says where it runs. */
function readDrill(): Step[] {
  return blocksOf('docs/how-to/restoring.md').flatMap(({ text }) => {
    const [, machine, script] = /^# (on the server|on the other machine)\n(.*)$/s.exec(text) ?? [];
    return machine === undefined || script === undefined ? [] : [{ machine, script }];
  });
}

interface Printed {
  stdout: string;
  stderr: string;
}

/** Runs blocks one after the other in one environment, which `export` in a block changes for the next. */
class Machine {
  readonly #variables: string;
  readonly #environment: Record<string, string>;

  constructor(folder: string, environment: Record<string, string>) {
    this.#variables = join(folder, 'variables');
    this.#environment = environment;
  }

  /** What blocks have exported. */
  async variables(): Promise<Record<string, string>> {
    const { stdout } = await promisify(execFile)('bash', ['-c', `. ${this.#variables}; env -0`], { env: {} });
    return Object.fromEntries(
      stdout.split('\0').map((it) => [it.slice(0, it.indexOf('=')), it.slice(it.indexOf('=') + 1)]),
    );
  }

  async run(script: string, more: Record<string, string> = {}): Promise<Printed> {
    const whole = `set -euo pipefail; [ ! -e ${this.#variables} ] || . ${this.#variables}\n${script}\nexport -p > ${this.#variables}`;
    return await promisify(execFile)('bash', ['-c', whole], { env: { ...this.#environment, ...more } }).catch(
      (error: Error & Partial<Printed>) => {
        throw new Error(`${script}\n${error.message}\n${error.stdout}`);
      },
    );
  }
}

const people = ['ada@example.test', 'grace@example.test', 'edith@example.test'];
const clear = /example\.test|Lovelace|Hello there/;

/** Two machines, each with its own PostgreSQL, and two places for what is copied. */
interface Machines {
  server: Machine;
  other: Machine;
  /** Of the server on the first machine. */
  settings: Settings;
  /** Of the server on the other one, which has no mail server. */
  otherSettings: Settings;
  smtp: SmtpServer;
  safe: string;
  backups: string;
}

async function prepareMachines(
  opened: AsyncDisposableStack,
  urls: { server?: string; other?: string },
): Promise<Machines> {
  const smtp = opened.use(await startSmtpServer());
  const { path } = opened.use(await programFolder('drill'));
  const [safe, backups, otherFolder, ownFolder] = ['safe', 'backups', 'other', 'server'].map((it) =>
    join(path, it),
  ) as [string, string, string, string];
  for (const folder of [safe, backups, otherFolder, ownFolder, join(path, 'bin')]) await mkdir(folder);
  const program = join(path, 'bin', 'ruffinweb');
  await writeFile(program, `#!/bin/sh\nexec "${process.execPath}" "${programPath()}" "$@"\n`);
  await chmod(program, 0o755);
  await writeFile(join(ownFolder, 'keys'), testKeys);
  const common = {
    PATH: `${join(path, 'bin')}:${process.env.PATH}`,
    HOME: path,
    LOG_FORMAT: 'json',
    BACKUPS: backups,
    SAFE: safe,
  };
  const place = (folder: string, url: string | undefined) => ({
    ...(url !== undefined && { DATABASE_URL: url }),
    DATA_DIR: join(folder, 'data'),
  });
  const own = { ...place(ownFolder, urls.server), ENCRYPTION_KEYS_FILE: join(ownFolder, 'keys') };
  const others = place(otherFolder, urls.other);
  return {
    smtp,
    safe,
    backups,
    settings: {
      ...own,
      ENCRYPTION_KEYS: undefined,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'Site <site@site.test>',
      NOTIFY_TO: 'owner@site.test',
      AUTO_REPLY: 'off',
    },
    otherSettings: { ...others, NOTIFY_TO: 'owner@site.test', AUTO_REPLY: 'off' },
    server: new Machine(ownFolder, { ...common, ...own }),
    other: new Machine(otherFolder, { ...common, ...others }),
  };
}

const drill = 'the drill of docs/how-to/restoring.md';

async function runDrill({ server, other, settings, otherSettings, smtp, safe, backups }: Machines): Promise<void> {
  const blocks = readDrill();
  expect(blocks.map((it) => it.machine)).to.deep.equal([
    ...Array(3).fill('on the server'),
    ...Array(4).fill('on the other machine'),
  ]);
  const [backUp, keepKeys, keepErasures, restore, look, resume, settle] = blocks.map((it) => it.script);

  // Three people have written; when the backup is made, none of the mail has been sent.
  await using running = await RunningServer.start(settings, ['serve', '--migrate', '--no-deliver']);
  await ruffinweb(['deliver', '--once'], settings);
  for (const email of people) await clientOf(running.url).post('/api/messages', submission({ email }));
  expect((await server.run(backUp ?? '')).stdout).to.include('verified');
  await server.run(keepKeys ?? '');

  // Then mail is sent, and one of them asks to be erased.
  await ruffinweb(['deliver', '--once'], settings);
  expect(smtp.messages).to.have.lengthOf(3);
  const erased = await ruffinweb(['senders', 'erase', '--email', people[0] ?? '', '--yes'], settings);
  expect(erased.code, erased.stderr).to.equal(0);
  await server.run(keepErasures ?? '');
  // The hourly job also runs after a restore: what is missing from the database stays in the copy.
  await server.run(keepErasures ?? '');
  for (const name of await readdir(backups, { recursive: true })) {
    const content = await readFile(join(backups, name), 'latin1').catch(() => '');
    expect(content, name).to.not.match(clear);
  }
  expect(await readFile(join(safe, 'erasures.jsonl'), 'utf8')).to.not.match(clear);

  const restored = await other.run(restore ?? '');
  expect(restored.stdout).to.match(/erased again +1 person: 1 message and 1 sender are gone/);
  if (otherSettings.DATABASE_URL === undefined)
    expect(restored.stderr).to.include('Next: start the server with "ruffinweb serve" (mail stays paused), then:');
  expect(restored.stdout).to.match(/paused; 2 emails queued/);

  const { ENCRYPTION_KEYS_FILE } = await other.variables();
  const serving = { ...otherSettings, ENCRYPTION_KEYS: undefined, ENCRYPTION_KEYS_FILE };
  await using emergency = await RunningServer.start(serving, ['serve']);
  expect((await clientOf(emergency.url).post('/api/messages', submission({ email: 'new@site.test' }))).status).to.equal(
    201,
  );
  const looked = await other.run(look ?? '');
  expect(looked.stdout).to.include('edith@example.test').and.not.include('ada@example.test');
  expect(looked.stdout).to.include('this database was restored from a backup');
  const mails = () => readdir(join(otherSettings.DATA_DIR ?? '', 'mail')).catch(() => []);
  expect(await mails()).to.deep.equal([]);

  // The owner can see that one of the two remaining mails has arrived.
  const queued = JSON.parse((await other.run('ruffinweb emails list --state queued --json')).stdout).items;
  expect(queued).to.have.lengthOf(3);
  const arrived = queued.at(-1).id;
  expect((await other.run(resume ?? '', { ARRIVED: arrived })).stdout).to.include('mail goes on');
  await until('the other mail is sent', async () => (await mails()).length >= 2);
  const listed = JSON.parse((await other.run('ruffinweb emails list --json')).stdout).items;
  expect(listed.find((it: { id: string }) => it.id === arrived)).to.include({ state: 'cancelled' });
  expect((await other.run(settle ?? '')).stdout).to.include('k1');
  expect(await other.variables()).to.not.have.property('ENCRYPTION_KEYS_FILE');
  expect((await stat(otherSettings.DATA_DIR ?? '')).mode & 0o777).to.equal(0o700);
  const senders = JSON.parse((await other.run('ruffinweb senders list --json')).stdout).items;
  expect(senders.map((it: { email: string }) => it.email)).to.have.members([...people.slice(1), 'new@site.test']);
}

describe(drill, () => {
  it('works on the embedded PostgreSQL', async () => {
    await using opened = new AsyncDisposableStack();
    await runDrill(await prepareMachines(opened, {}));
  });
});

describeWith(['pg_dump', 'pg_ctl'], `${drill}, on Debian's PostgreSQL`, () => {
  const opened = new AsyncDisposableStack();
  let one: MachinePostgres;
  let two: MachinePostgres;

  before(async () => {
    [one, two] = [opened.use(await MachinePostgres.open()), opened.use(await MachinePostgres.open())];
  });
  after(async () => {
    await opened.disposeAsync();
  });

  const createDatabase = async (server: MachinePostgres, name: string) => {
    await promisify(execFile)(pathOf('createdb') ?? '', [name], { env: server.environment });
    return server.urlOf(name);
  };

  it('works, too', async () => {
    await using machines = new AsyncDisposableStack();
    await runDrill(
      await prepareMachines(machines, {
        server: await createDatabase(one, 'drill'),
        other: await createDatabase(two, 'drill'),
      }),
    );
  });

  it('a backup of the embedded 18 restores into it', async () => {
    await using machines = new AsyncDisposableStack();
    await runDrill(await prepareMachines(machines, { other: await createDatabase(two, 'older') }));
  });

  it('restores what 0.2.0 stored, from a dump or a backup', async () => {
    const release = earlierReleases.find((it) => it.version === '0.2.0');
    if (release === undefined) throw new Error('0.2.0 is not among the releases');
    await using machines = new AsyncDisposableStack();
    const { path } = machines.use(await temporaryFolder());
    const old = machines.use(await unpackRelease(release));
    const settings = { DATABASE_URL: await createDatabase(one, 'old'), DATA_DIR: join(path, 'old') };
    {
      await using running = await RunningServer.start(settings, ['serve', '--migrate', '--no-deliver'], old.program);
      for (const email of people) await clientOf(running.url).post('/api/messages', submission({ email }));
    }
    const [byDump, byBackup] = [await createDatabase(two, 'dump'), await createDatabase(two, 'backup')];
    const dump = join(path, 'ruffinweb.dump');
    await promisify(execFile)(pathOf('pg_dump') ?? '', ['--format=custom', '-f', dump, settings.DATABASE_URL]);
    await promisify(execFile)(pathOf('pg_restore') ?? '', ['--no-owner', '--exit-on-error', '-d', byDump, dump]);
    expect((await ruffinweb(['migrate', 'up'], { DATABASE_URL: byDump })).code).to.equal(0);

    const backup = join(path, 'backup');
    for (const [args, url] of [
      [['backup', 'create', backup], settings.DATABASE_URL],
      [['backup', 'verify', backup], settings.DATABASE_URL],
      [['backup', 'restore', backup, '--yes'], byBackup],
    ] as const) {
      const done = await ruffinweb(args, { DATABASE_URL: url, DATA_DIR: join(path, 'new') });
      expect(done.code, done.stderr).to.equal(0);
    }
    for (const url of [byDump, byBackup]) {
      const listed = JSON.parse((await ruffinweb(['messages', 'list', '--json'], { DATABASE_URL: url })).stdout).items;
      expect(listed.map((it: { email: string }) => it.email)).to.have.members(people);
    }
  });
});
