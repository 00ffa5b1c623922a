import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import pg from 'pg';
import { buildMessages } from '../support/build.ts';
import { programPath } from '../support/built-program.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder, testKeys } from '../support/program.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { ctrlC, TerminalProgram } from '../support/terminal-program.ts';
import { type TlsMode, TlsProxy } from '../support/tls-proxy.ts';
import { until } from '../support/until.ts';
import { runHere, withoutColours } from './terminal.ts';

/** From the sources, whose modules have names. */
const launcher = fileURLToPath(new URL('../../bin/ruffinweb.js', import.meta.url));

describe('ruffinweb', () => {
  let db: TestDatabase;
  let settings: Settings;
  let missingUrl: string;

  before(async () => {
    db = await createDatabase();
    settings = { DATABASE_URL: db.url };
    const url = new URL(db.url);
    url.pathname += '_missing';
    missingUrl = url.href;
    await using context = await openTestContext(db);
    await buildMessages(context, 200, (index) => ({ message: `${'long '.repeat(200)}${index}` }));
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });

  /** Every module that the program loaded, as reported when it ends. */
  const reportLoaded = `data:text/javascript,${encodeURIComponent(`
    import { registerHooks } from 'node:module';
    const seen = [];
    registerHooks({ load(url, context, next) { seen.push(url); return next(url, context); } });
    process.on('exit', () => process.stderr.write('\\nloaded ' + JSON.stringify(seen)));
  `)}`;

  it('prints help and version without database or settings', async () => {
    const runs = await Promise.all(
      [['--help'], ['--version'], ['emails', 'resend', '--help'], ['completion', 'bash']].map((args) =>
        ruffinweb(args, { NODE_OPTIONS: `--import=${reportLoaded}` }, '', launcher),
      ),
    );
    for (const [index, { code, stdout, stderr }] of runs.entries()) {
      expect(code).to.equal(0);
      expect(stdout).to.not.equal('');
      const loaded = JSON.parse(stderr.slice(stderr.lastIndexOf('loaded ') + 7)) as string[];
      // The launcher prints the version by itself.
      expect(loaded.some((url) => url.endsWith('/src/cli/program.ts'))).to.equal(index !== 1);
      expect(loaded.filter((url) => /mikro-orm|kysely|zod|pino|nodemailer|koa|\/pg\//.test(url))).to.deep.equal([]);
    }
    expect(runs[1]?.stdout).to.match(/^\d+\.\d+\.\d+\n$/);
    expect(runs[2]?.stdout).to.include('Examples:\n  $ ruffinweb emails resend --failed');
  });

  it('has help with two examples per command, in 80 columns', async () => {
    const { createProgram } = await import('../../src/cli/program.ts');
    const lines: string[] = [];
    const stream = { write: (text: string) => lines.push(...text.split('\n')), isTTY: true, columns: 80 };
    type Deps = Parameters<typeof createProgram>[0];
    const program = createProgram({ stdout: stream, stderr: stream, env: { TERM: 'dumb' } } as unknown as Deps);
    const leaves = (it: typeof program): (typeof program)[] =>
      it.commands.length > 0 ? it.commands.flatMap(leaves) : [it];
    const commands = leaves(program).filter((it) => it.name() !== 'help');
    expect(commands.length).to.be.at.least(15);
    for (const command of commands) {
      lines.length = 0;
      command.outputHelp();
      expect(
        lines.filter((line) => line.startsWith('  $ ruffinweb') || /^ {2}\$ [A-Z_]+=\S+ ruffinweb/.test(line)),
        command.name(),
      ).to.have.lengthOf.at.least(2);
      const told = lines.filter((line) => !line.startsWith('  $ '));
      expect(Math.max(...told.map((line) => line.length)), command.name()).to.be.at.most(80);
    }
  });

  it('groups its commands, and says where the documents are', async () => {
    const { stdout } = await runHere(['--help'], { url: 'nonsense' }, { columns: 80 });
    const titles = withoutColours(stdout).match(/^[A-Z][\w ]+:$/gm);
    expect(titles).to.deep.equal(
      ['Options', 'Messages and mail', 'Run the server', 'Set up', 'Look after the data', 'Help', 'Examples'].map(
        (it) => `${it}:`,
      ),
    );
    expect(stdout).to.not.include('\n\n\n');
    expect(stdout).to.match(/Documents: docs\/ .*\nThe HTTP API: \/docs on your server\.\n$/);
  });

  it('says at Ctrl-C what was stopped, without what it was given', async () => {
    await using silent = createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const url = `postgresql://u@127.0.0.1:${(silent.address() as AddressInfo).port}/x`;
    const command = `exec ${process.execPath} ${programPath()} --quiet senders show --email ada@example.com`;
    const terminal = new TerminalProgram(command, { DATABASE_URL: url });
    await once(silent, 'connection');
    expect(await terminal.type(ctrlC)).to.equal(130);
    expect(terminal.output.split('\u001b[K').at(-1)).to.equal('stopped: ruffinweb senders show\r\n');
  });

  it('says after Ctrl-C what was not done', async () => {
    const stop = AbortSignal.abort();
    const receipts = ['RW-0000000001', 'RW-0000000002'];
    for (const [args, words] of [
      [['messages', 'hold', ...receipts], /^\nStopped after 0 of 2 messages: the others are as they were\.\n$/],
      [['emails', 'resend', randomUUID(), randomUUID()], /^\nStopped after 0 of 2 emails: run it again/],
      [['purge'], /^\nStopped before everything was removed/m],
      [['senders', 'export', '--email', 'ada@example.test'], /^Stopped: the export is not complete/m],
    ] as const) {
      const { code, stderr } = await runHere(args, db, { stop });
      expect(code, args.join(' ')).to.equal(130);
      expect(stderr).to.match(words);
    }
  });

  it('prints help for "help <command>", however deep, and exits 0', async () => {
    const asked: [args: string[], usage: string][] = [
      [['help'], 'ruffinweb [options] [command]'],
      [['help', 'messages'], 'ruffinweb messages [options] [command]'],
      [['help', 'messages', 'list'], 'ruffinweb messages list [options]'],
      [['messages', 'help', 'list'], 'ruffinweb messages list [options]'],
      [['messages', 'help'], 'ruffinweb messages [options] [command]'],
    ];
    for (const [args, usage] of asked) {
      const run = await ruffinweb(args);
      expect(run, args.join(' ')).to.include({ code: 0, stderr: '' });
      expect(run.stdout.split('\n')[0]).to.equal(`Usage: ${usage}`);
    }
    for (const args of [
      ['help', 'nothing'],
      ['help', 'messages', 'nothing'],
    ]) {
      const run = await ruffinweb(args);
      expect(run, args.join(' ')).to.include({ code: 2, stdout: '' });
      expect(run.stderr).to.include("ruffinweb: unknown command 'nothing'");
    }
  });

  it('assumes 80 columns if the terminal reports no size', async () => {
    for (const args of [['messages', 'list', '--utc'], ['--help']]) {
      expect(await runHere(args, db, { columns: 0 })).to.deep.equal(await runHere(args, db, { columns: 80 }));
    }
  });

  it('exits 2 when misused, and suggests a command', async () => {
    const misuses: [args: string[], said: RegExp][] = [
      [[], /Usage: ruffinweb/],
      [['senders'], /Usage: ruffinweb senders/],
      [['sendrs', 'list'], /unknown command 'sendrs'\n\(Did you mean senders\?\)/],
      [['senders', 'lst'], /unknown command 'lst'\n\(Did you mean list\?\)/],
      [['senders', 'list', '--jsn'], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
      [['senders', 'list', 'x'], /too many arguments/],
      [['messages', 'list', '--limit', '201'], /from 1 to 200/],
      [['messages', 'list', '--status', 'hold'], /accepted, held/],
      [['messages', 'show'], /missing required argument 'message'\nAdd --help to see how to use it\.\n$/],
      [['messages', 'list', '--since', 'soon'], /--since "soon" is not a time/],
      [['emails', 'resend'], /their ids, --failed or --queued/],
      [['senders', 'show'], /an id, or --email/],
      [['deliver', '--json'], /--json needs --once/],
      [['health', '--every', '5'], /--every needs --watch/],
    ];
    for (const [args, said] of misuses) {
      const run = await runHere(args, db);
      expect(run.stderr, args.join(' ')).to.match(said);
      expect(run, args.join(' ')).to.include({ code: 2, stdout: '' });
    }
    const real = await ruffinweb(['messages', 'list', '--status', '\u009bheld'], { COLUMNS: '60' });
    expect(real).to.include({ code: 2, stdout: '' });
    expect(real.stderr, 'whole words, and nothing that a terminal obeys').to.equal(
      [
        "ruffinweb: option '--status <status>' argument '\\u{9b}held'",
        'is invalid. Allowed choices are accepted, held.',
        'Add --help to see how to use it.\n',
      ].join('\n'),
    );
  });

  it('answers a familiar verb with the right command, and exits 2', async () => {
    const told: [typed: string, right: string][] = [
      ['messages remove RW-4K2M9Q7T1X --yes', 'messages delete RW-4K2M9Q7T1X --yes'],
      ['messages remove', 'messages delete <message>'],
      ['forms create shop --name Shop', 'forms add shop --name Shop'],
      ['emails retry RW-4K2M9Q7T1X latest', 'emails resend RW-4K2M9Q7T1X latest'],
      ['emails retry --failed --since 2d --more', 'emails resend --failed --since 2d'],
      ['retry', 'emails resend <email>'],
      ['reply latest', 'messages reply latest'],
      ['messages block RW-4K2M9Q7T1X', 'senders block RW-4K2M9Q7T1X'],
      ['rotate', 'encryption rotate'],
      ['pause', 'emails pause'],
      ['hooks set slack --url https://example.com/', 'hooks change slack --url https://example.com/'],
      ['hooks resend --failed', 'hooks deliveries resend --failed'],
      ['hooks retry', 'hooks deliveries resend <delivery>'],
      ['hooks cancel 01a20241-c5d6', 'hooks deliveries cancel 01a20241-c5d6'],
      ['hooks deliveries retry --failed', 'hooks deliveries resend --failed'],
      ['hooks deliveries rm x', 'hooks deliveries cancel x'],
      ['hooks rotate crm', 'hooks rotate-secret crm'],
      ['hooks unpause slack', 'hooks resume slack'],
      ['hooks deliveries failed', 'hooks deliveries list --state failed'],
      ['spam', 'messages list --status held'],
      ['emails failed', 'emails list --state failed'],
      ['senders search müller "', `find müller '"'`],
      ['messages find müller', 'find müller'],
      ['reply latest', 'messages reply latest'],
      ['retry RW-4K2M9Q7T1X', 'emails resend RW-4K2M9Q7T1X'],
      ['doctor', 'health --deep'],
      ['keys status', 'health'],
      ['version', '--version'],
    ];
    for (const [typed, right] of told) {
      const run = await runHere(typed.split(' '), db);
      expect(run, typed).to.include({ code: 2, stdout: '' });
      expect(run.stderr, typed).to.match(new RegExp(`^ruffinweb: there is no "[a-z ]+": use ruffinweb ${right}\n$`));
    }
    expect((await runHere(['config', 'set', 'PORT', '80'], db)).stderr).to.equal(
      'ruffinweb: there is no "config set": change .env, then use ruffinweb config check\n',
    );
    expect((await runHere(['messages', 'list', 'mirjam'], db)).stderr).to.equal(
      'ruffinweb: "messages list" takes no words: use ruffinweb find mirjam\n',
    );
  });

  it('knows each command that it names for a familiar verb', async () => {
    const [{ createProgram }, { familiarVerbs }] = await Promise.all([
      import('../../src/cli/program.ts'),
      import('../../src/cli/session/familiar-verbs.ts'),
    ]);
    const program = createProgram({ env: {} } as unknown as Parameters<typeof createProgram>[0]);
    const child = (of: typeof program | undefined, name: string) => of?.commands.find((it) => it.name() === name);
    for (const [noun, verbs, line] of familiarVerbs) {
      let [command, isComplete] = [program, line.startsWith('--')];
      for (const word of line.split(' ').filter((it) => !isComplete && !/^[<[]/.test(it))) {
        command = child(command, word) ?? command;
        isComplete = command.commands.length === 0;
      }
      expect(isComplete, line).to.equal(true);
      const flags = command.options.map((it) => it.long);
      expect(flags, line).to.include.members(line.match(/--[\w-]+/g) ?? []);
      const names = noun === '*' ? ['messages'] : noun.split(' ').filter((it) => it !== '');
      const owner = names.reduce<typeof program | undefined>(child, program);
      expect(owner, noun).to.not.equal(undefined);
      for (const verb of verbs.split(' ')) expect(child(owner, verb), `${noun} ${verb}`).to.equal(undefined);
    }
  });

  it('exits 2 on invalid settings, 1 if the database is away', async () => {
    const list = ['senders', 'list'];
    const here = (changes: Settings) => runHere(list, db, { settings: changes });
    const [faulty, notRunning, keyless, away, missing] = await Promise.all([
      ruffinweb(list, { ...settings, PORT: 'x', SMTP_PORT: '0' }),
      ruffinweb(list, { DATA_DIR: '/nowhere', COLUMNS: '80' }),
      here({ ENCRYPTION_KEYS: `other:${testKeys.slice(3)}` }),
      here({ DATABASE_URL: 'postgresql://nobody:secret@127.0.0.1:1/x' }),
      here({ DATABASE_URL: missingUrl }),
    ]);
    expect(faulty.code).to.equal(2);
    expect(faulty.stderr).to.include('PORT must be').and.to.include('SMTP_PORT must be');
    expect(notRunning.code).to.equal(1);
    expect(notRunning.stderr).to.match(/^ruffinweb: .*start\sthe\sserver:\n {2}ruffinweb serve --migrate\n$/s);
    for (const line of notRunning.stderr.split('\n')) expect(line.length, line).to.be.at.most(80);
    expect(keyless.code).to.equal(2);
    expect(keyless.stderr).to.include('put back key "k1"');
    expect(away.code).to.equal(1);
    expect(away.stderr)
      .to.match(/^the database does not answer .*ECONNREFUSED/)
      .and.to.not.include('secret');
    expect(missing.code).to.equal(1);
    expect(missing.stderr).to.match(
      /^(?:ruffinweb: )?there is no such database \(database ".*" does not exist\): create it/,
    );
  });

  it('tells a refusing database from one that does not answer', async () => {
    const pause = () => runHere(['emails', 'pause'], db);
    await db.query(`alter database ${db.name} set default_transaction_read_only = on`);
    const closed = await pause();
    await db.query(`alter database ${db.name} reset default_transaction_read_only`);
    expect(closed.code).to.equal(1);
    expect(closed.stderr).to.match(/^the database is read-only .*: let DATABASE_URL name the primary/);

    await db.query(`create function disk_full() returns trigger language plpgsql as $$
      begin raise exception using errcode = '53100', message = 'could not extend file: No space left on device'; end $$`);
    await db.query('create trigger disk_full before update on mail_queue for each row execute function disk_full()');
    const full = await pause();
    await db.query('drop function disk_full cascade');
    expect(full.code).to.equal(1);
    expect(full.stderr).to.match(
      /^the disk of the database is full \(could not extend file.*\): free some space there/,
    );
  });

  it('exits 1 if there is no socket in the folder that DATABASE_URL names', async () => {
    const url = 'postgresql://u@%2Fno%2Fsuch%2Ffolder/db';
    const { code, stderr } = await runHere(['forms', 'list'], { url });
    expect(code).to.equal(1);
    expect(stderr).to.match(/^the database does not answer \(connect ENOENT \/no\/such\/folder\/\.s\.PGSQL\.5432\)/);
  });

  it('exits 1 and names the path if a file that it reads is a folder', async () => {
    await using folder = await temporaryFolder();
    const url = `postgresql://u@127.0.0.1:1/x?sslmode=require&sslrootcert=${folder.path}`;
    const [key, password] = ['encryption.keys', 'postgres.password'].map((it) => join(folder.path, it)) as [
      string,
      string,
    ];
    await mkdir(key);
    await mkdir(password);
    const settings = { DATA_DIR: folder.path, ENCRYPTION_KEYS: undefined };
    for (const [path, database] of [
      [folder.path, url],
      [key, db.url],
      [password, 'embedded'],
    ] as const) {
      const { code, stderr } = await runHere(['forms', 'list'], { url: database }, { settings });
      expect(code, stderr).to.equal(1);
      expect(stderr)
        .to.match(/ cannot be used: EISDIR: /)
        .and.include(path);
    }
  });

  it('exits 1 if TLS to the database fails, and says why', async () => {
    await using proxy = await TlsProxy.before(db.url);
    const full = proxy.urlOf('verify-full');
    expect((await runHere(['forms', 'list'], { url: full })).code).to.equal(0);
    const cases: [TlsMode, string, RegExp][] = [
      ['none', full, /^the database speaks no TLS: switch it on there, or set sslmode=disable/],
      ['none', proxy.urlOf('require'), /^the database speaks no TLS/],
      ['garbage', full, /^no TLS connection to the database \(.*\): check its certificate/],
      ['expired', full, /^the certificate of the database has expired/],
      [
        'good',
        proxy.urlOf('verify-full', null),
        /^the certificate .* unknown authority .*: set sslrootcert .*, or sslmode=require if/,
      ],
      ['good', proxy.urlOf('verify-ca', 'system'), /^the certificate .* unknown authority/],
      ['good', proxy.urlOf('verify-full', null, '127.0.0.1'), /^the certificate .* unknown authority/],
    ];
    for (const [mode, url, words] of cases) {
      proxy.mode = mode;
      for (const args of [['forms', 'list'], ['migrate', 'status'], ['serve']]) {
        const { code, stdout, stderr } = await runHere(args, { url });
        expect({ code, stdout }, `${args}: ${stderr}`).to.deep.equal({ code: 1, stdout: '' });
        expect(stderr).to.match(words);
      }
    }
    proxy.mode = 'expired';
    const health = await runHere(['health', '--json'], { url: full });
    expect(JSON.parse(health.stdout).checks[0].fact).to.match(/^the certificate of the database has expired/);
  });

  it("exits 1 with PostgreSQL's words if it refuses us", async () => {
    const refusing = async (args: string[], url: string) => {
      const { code, stdout, stderr } = await runHere(args, { url });
      expect({ code, stdout }, stderr).to.deep.equal({ code: 1, stdout: '' });
      return stderr;
    };
    const role = `${db.name}_guest`;
    await using empty = await createDatabase({ empty: true });
    await db.query(`create role ${role} login password 'secret'`);
    try {
      const as = (url: string, password: string) => Object.assign(new URL(url), { username: role, password }).href;
      expect(await refusing(['forms', 'list'], as(db.url, 'secret'))).to.match(
        /^our database user may not do this \(permission denied for table \w+\): grant it/,
      );
      expect(await refusing(['migrate', 'up'], as(empty.url, 'secret'))).to.equal(
        'our database user may not do this (permission denied for schema public): as the owner of the database, run: GRANT CREATE ON SCHEMA public TO that user',
      );
      expect(await refusing(['forms', 'list'], as(db.url, 'wrong'))).to.match(
        /^the database rejected the login \(password authentication failed .*\): fix/,
      );
      expect(await refusing(['forms', 'list'], as(db.url, ''))).to.match(/^the database asks for a password: put it/);
      // A connection of a failed login would stay open for a minute, and the process with it.
      const open = () =>
        db.query(
          `select from pg_stat_activity where usename = $1 or (usename is null and backend_type = 'client backend')`,
          [role],
        );
      await until('its connections are closed', async () => (await open()).length === 0, 5000);
    } finally {
      await db.query(`drop role ${role}`);
    }
  });

  it('exits 1 if a pooler cannot reach the database', async () => {
    // As PgBouncer sends it: severity, code and text, but no server routine.
    const fields = Buffer.from('SFATAL\0C08P01\0Mserver login has been failing\0\0');
    const head = Buffer.from([0x45, 0, 0, 0, fields.length + 4]);
    const pooler = createServer((socket) => socket.once('data', () => socket.end(Buffer.concat([head, fields]))));
    await new Promise<void>((resolve) => pooler.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = pooler.address() as AddressInfo;
      const screen = await runHere(['senders', 'list'], { url: `postgresql://nobody:x@127.0.0.1:${port}/x` });
      expect(screen.code).to.equal(1);
      expect(screen.stderr).to.match(/^the database does not answer .*server login has been failing/);
    } finally {
      await new Promise((resolve) => pooler.close(resolve));
    }
  });

  it('exits 70 on an unexpected error, with an id from the log', async () => {
    await db.query('alter table senders rename column last_message_at to gone');
    try {
      const { code, stdout, stderr } = await ruffinweb(['senders', 'list'], settings);
      expect(code).to.equal(70);
      expect(stdout).to.equal('');
      const [logged = '', told = ''] = stderr.trim().split('\n');
      expect(told).to.match(/^ruffinweb: .*error [0-9a-f]{8}/);
      expect(JSON.parse(logged).errorId).to.equal(/error ([0-9a-f]{8})/.exec(told)?.[1]);
    } finally {
      await db.query('alter table senders rename column gone to last_message_at');
    }
  });

  it('writes a long answer completely to a pipe', async () => {
    const { code, stdout, stderr } = await ruffinweb(
      ['messages', 'list', '--limit', '200', '--json'],
      { ...settings, NODE_OPTIONS: `--import=${reportLoaded}` },
      '',
      launcher,
    );
    expect(code).to.equal(0);
    expect(stdout.length).to.be.above(200_000);
    expect(JSON.parse(stdout).items).to.have.lengthOf(200);
    const loaded = JSON.parse(stderr.slice(stderr.lastIndexOf('loaded ') + 7)) as string[];
    expect(loaded.some((url) => url.endsWith('/src/services/messages/messages.ts'))).to.equal(true);
    expect(loaded.filter((url) => /\/koa|src\/server\//.test(url))).to.deep.equal([]);
  });

  it('ends quietly when its reader has seen enough', async () => {
    const child = spawn(process.execPath, [programPath(), 'messages', 'list', '--limit', '200', '--json'], {
      env: { PATH: process.env.PATH, ENCRYPTION_KEYS: testKeys, DATABASE_URL: db.url },
    });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
  });

  if (existsSync('/dev/full')) {
    it('exits 1 when the disk for its output is full', async () => {
      const child = spawn(process.execPath, [programPath(), 'migrate', 'status', '--json'], {
        stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
        env: { PATH: process.env.PATH, DATABASE_URL: db.url },
      });
      let stderr = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
      });
      expect(await new Promise((resolve) => child.on('close', resolve))).to.equal(1);
      expect(stderr).to.include('cannot be written');
    });
  }

  it('exits 130 on Ctrl-C and leaves nothing half done', async () => {
    await using empty = await createDatabase({ empty: true });
    const holder = new pg.Client({ connectionString: empty.url });
    await holder.connect();
    try {
      // The migration has to wait for this lock, so it is still running when Ctrl-C arrives.
      await holder.query('begin; select pg_advisory_xact_lock(7226943)');
      const child = spawn(process.execPath, [programPath(), 'migrate', 'up'], {
        env: { PATH: process.env.PATH, DATABASE_URL: empty.url },
      });
      const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
      await empty.waitingForLocks(1);
      child.kill('SIGINT');
      expect(await ended).to.deep.equal({ code: 130, signal: null });
    } finally {
      await holder.end();
    }
    expect(await empty.query(`select from pg_tables where schemaname = 'public'`)).to.have.lengthOf(0);
  });

  it('delivers until stopped; a second signal returns its mail', async () => {
    await using smtp = await startSmtpServer();
    smtp.answer('greeting', 'hold');
    await db.makeAllDue();
    await using worker = await RunningServer.startWorker({
      ...settings,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'forms@example.test',
    });
    await smtp.held('greeting', 10_000);
    worker.signal('SIGTERM');
    worker.signal('SIGINT');
    await worker.said(/stopping/);
    const stoppingAt = performance.now();
    await until('another signal is another one', () => performance.now() - stoppingAt > 2100);
    expect(await worker.stop('SIGINT')).to.deep.equal({ code: 130, signal: null });
    expect(await db.query('select from emails where lease_token is not null')).to.deep.equal([]);
  });

  it('shows the progress of long work on stderr', async () => {
    const notifications = await db.query<{ id: string }>(`select id from emails where kind = 'notification'`);
    const fail = () => past.failed(db, ...notifications.map((it) => it.id));
    const resend = ['emails', 'resend', '--failed', '--yes', '--json'];
    // The same long text again and again is held.
    await db.query(`update messages set status = 'accepted', reasons = '{}'`);
    await fail();
    const seen = await runHere(resend, db, { columns: 80 });
    expect(seen.code).to.equal(0);
    expect(seen.stderr)
      .to.match(/\r\u001b\[K\d+ of 200 queued/)
      .and.match(/\r\u001b\[K$/);
    expect(JSON.parse(seen.stdout).items).to.have.lengthOf(200);
    for (const [args, options] of [
      [resend, {}],
      [[...resend, '--quiet'], { columns: 80 }],
    ] as const) {
      await fail();
      expect((await runHere(args, db, options)).stderr).to.not.include(' of 200');
    }
  });

  it('prints colours only on a terminal that wants them', async () => {
    const show = async (args: string[], env: Settings = {}) =>
      (await runHere([...args, 'migrate', 'status', '--utc'], db, { columns: 80, env })).stdout;
    const [coloured, plain] = [await show([]), await show([], { NO_COLOR: '1' })];
    expect(coloured).to.include('\u001b[32mapplied\u001b[39m');
    expect(withoutColours(coloured)).to.equal(plain);
    expect(plain).to.not.include('\u001b');
    expect(await show(['--no-color'])).to.equal(plain);
    expect(await show([], { TERM: 'dumb' })).to.equal(plain);
  });
});
