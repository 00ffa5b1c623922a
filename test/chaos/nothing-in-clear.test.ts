import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { expect } from 'chai';
import pg from 'pg';
import { joinEmbedded } from '../../src/database/embedded/embedded.ts';
import { type Answer, browserAccept, type Client, clientOf } from '../support/api.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { Receiver } from '../support/receiver.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { TraceSearch } from '../support/traces.ts';
import { until } from '../support/until.ts';

/** Part of every value that a visitor gives here, and of nothing else. */
const mark = 'Qwyxal';
const address = (name: string) => `${name}.${mark}@${mark.toLowerCase()}-domain.test`;
const clientAddresses = ['198.51.100.213', '2001:db8:5eed:77::41'];
/** Parts of the addresses of a hook and of ALERT_URL. */
const [hookToken, alertToken] = ['Zoqhook7wid', 'Zoqalert9wid'];
/** The networks too: the part of an IP address that is stored. */
const search = new TraceSearch([mark, `${mark}é☃`, '198.51.100.', '2001:db8:5eed', hookToken, alertToken]);

const token = 'token-of-the-test';

/**
 * Visitors' data may appear only in mails and in answers to authorised readers. The test data passes through a
 * database that logs every statement, and a server, a worker and commands that log at the lowest level.
 */
describe("visitors' data in plain text", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let outside: Awaited<ReturnType<typeof temporaryFolder>>;
  let smtp: SmtpServer;
  let receiver: Receiver;
  /** Of a signed webhook; shown once. */
  let hookSecret: TraceSearch | undefined;
  let server: RunningServer;
  let worker: RunningServer;
  let http: Client;
  let database: pg.Client;
  let databaseUrl: string;
  let settings: Settings;
  const found: string[] = [];
  const look = (where: string, content: Buffer | string) =>
    found.push(...search.findIn(where, content), ...(hookSecret?.findIn(where, content) ?? []));

  before(async () => {
    folder = await temporaryFolder();
    await mkdir(join(folder.path, 'tmp'));
    smtp = await startSmtpServer();
    receiver = await Receiver.open();
    outside = await temporaryFolder();
    await writeFile(join(outside.path, 'alert'), `ntfy+${receiver.url}/${alertToken}`);
    settings = {
      HOOK_ALLOW_HOSTS: '127.0.0.1',
      ALERT_URL_FILE: join(outside.path, 'alert'),
      DATA_DIR: join(folder.path, 'data'),
      TMPDIR: join(folder.path, 'tmp'),
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'Site <forms@site.test>',
      NOTIFY_TO: 'owner@site.test',
      ALLOWED_ORIGINS: 'https://site.test',
      TRUST_PROXY: '1',
      METRICS_TOKEN: token,
      LOG_LEVEL: 'trace',
      ENCRYPTION_KEYS: undefined,
    };
    server = await RunningServer.start(settings, ['serve', '--no-deliver', '--migrate']);
    http = clientOf(server.url);
    databaseUrl = await joinEmbedded(settings.DATA_DIR as string);
    database = new pg.Client({ connectionString: databaseUrl });
    await database.connect();
    // Like a database set up without knowing us: it logs every statement, and every error in full.
    for (const setting of [
      `log_statement = 'all'`,
      `log_min_error_statement = 'error'`,
      `log_min_messages = 'info'`,
      `log_error_verbosity = 'default'`,
      `log_parameter_max_length_on_error = -1`,
    ]) {
      await database.query(`alter role ruffinweb set ${setting}`);
    }
    // So that it applies to the server's connections too.
    await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'`,
    );
    worker = await RunningServer.startWorker(settings);
    await worker.said(/delivering to/);
  });
  after(async () => {
    await database?.end();
    await worker?.[Symbol.asyncDispose]();
    await server?.stop();
    await smtp?.[Symbol.asyncDispose]();
    await receiver?.[Symbol.asyncDispose]();
    await outside?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  const headers = {
    'X-Forwarded-For': clientAddresses[0] as string,
    'User-Agent': `${mark}-agent`,
    Referer: `https://${mark}.test/page`,
  };
  const fields = (name: string, changes: object = {}) => ({
    email: address(name),
    name: `Ada ${mark}é☃`,
    subject: `${mark}é☃ subject`,
    message: `${name} writes ${mark}é☃, and so on. ${`${mark} `.repeat(60)}`,
    [`${mark}-field`]: `${mark}é☃ extra`,
    ...changes,
  });
  async function post(path: string, body: object, status: number, more: Record<string, string> = {}): Promise<Answer> {
    const answer = await http.post(path, body, { ...headers, ...more });
    expect(answer.status, `${path}: ${answer.text}`).to.equal(status);
    return answer;
  }
  /** An error response contains nothing of what was posted. */
  async function refused(what: string, answer: Answer | Promise<Answer>, status: number): Promise<void> {
    const { status: real, text, headers: told } = await answer;
    expect(real, `${what}: ${text}`).to.equal(status);
    look(`the ${status} for ${what}`, `${JSON.stringify([...told])}\n${text}`);
  }
  /** Its output is for the operator and may name visitors; its log may not. */
  async function command(args: string[], code = 0): Promise<string> {
    const done = await ruffinweb(args, settings);
    expect(done.code, `${args.join(' ')}: ${done.stderr}`).to.equal(code);
    look(`the log of ${args[0]} ${args[1]}`, done.stderr);
    return done.stdout;
  }
  const formEncoded = { 'Content-Type': 'application/x-www-form-urlencoded', Accept: browserAccept };
  const emailStates = async () => {
    const { rows } = await database.query<{ state: string; count: number }>(
      `select kind || ' ' || state as state, count(*)::int from emails group by 1`,
    );
    return Object.fromEntries(rows.map((row) => [row.state, row.count]));
  };

  it('appears nowhere after hooks were made, and others refused', async () => {
    const url = `${receiver.url}/${hookToken}?token=${hookToken}`;
    const add = ['hooks', 'add', url, '--allow-http', '--with-content', '--json'];
    const { secret, name } = JSON.parse(await command([...add, '--name', 'one', '--events', 'message.accepted']));
    hookSecret = new TraceSearch([secret.slice('whsec_'.length)]);
    receiver.always = { status: 500, body: `Cannot POST ${url}` };
    await command(['hooks', 'add', `${receiver.url}/${hookToken}`, '--ntfy', '--allow-http', '--name', 'two'], 4);
    look('hooks', await command(['hooks', 'list', '--json']));
    for (const it of [name, 'two']) look(`the hook ${it}`, await command(['hooks', 'show', it, '--json']));
    await command(['hooks', 'resume', 'two']);
    await command(['hooks', 'rotate-secret', name]);
    look('the settings', await command(['config', 'show', '--json']));
    receiver.always = { status: 500, body: `{"topic":"${alertToken}"}` };
    look('the alert', await command(['health', '--alert-test'], 4));
    receiver.always = { status: 500, body: `Cannot POST ${url} ${mark} ${address('echo')}` };
  });

  it('appears nowhere after posts of every kind, by every route', async () => {
    await post('/api/messages', fields('json'), 201, { 'X-Forwarded-For': clientAddresses[1] as string });
    const urlencoded = new URLSearchParams(fields('urlencoded') as unknown as Record<string, string>);
    const page = await http.send('/api/messages', {
      method: 'POST',
      body: urlencoded.toString(),
      headers: { ...headers, ...formEncoded },
    });
    expect(page.status).to.equal(303);
    const multipart = new FormData();
    for (const [name, value] of Object.entries(fields('multipart'))) multipart.set(name, value);
    const sent = await http.send('/api/forms/contact/messages', { method: 'POST', body: multipart, headers });
    expect(sent.status, sent.text).to.equal(201);
    await post('/f/contact', fields('formspree'), 200, { Accept: 'application/json' });
    const django = {
      message: `${mark} portfolio`,
      first_name: mark,
      email: address('django'),
      date: '2026-11-22T08:00:00.000Z',
    };
    for (const [path, status] of [
      ['sender', 201],
      ['message', 201],
      ['send-email', 202],
    ] as const) {
      await post(`/api/${path}/`, django, status);
    }
    await post('/api/messages', fields('held', { _gotcha: `${mark}-robot` }), 201);
    const key = { 'Idempotency-Key': `${mark}-key` };
    for (let times = 0; times < 2; times++) await post('/api/messages', fields('repeat'), 201, key);
    await refused('a key for another body', http.post('/api/messages', fields('other'), { ...headers, ...key }), 422);
    await post('/api/messages', fields('unwanted'), 201);
    await post('/api/messages', fields('erased'), 201);
  });

  it('appears nowhere after mail whose rejection quotes it', async () => {
    smtp.answer('rcpt', ({ to }) => `550 5.1.1 <${to.at(-1)}>: ${mark} is not known here`, { to: address('late') });
    smtp.answer('dot', ({ to }) => `451 4.7.1 ${to.at(-1)} ${mark}: try again later`, { to: address('slow') });
    for (const name of ['late', 'slow']) await post('/api/messages', fields(name), 201);
    await until(
      'all was tried',
      async () => {
        const states = await emailStates();
        return (
          smtp.attempts.some((it) => it.answer.startsWith('451')) &&
          states['auto-reply failed'] === 1 &&
          states['auto-reply queued'] === 1 &&
          states['notification queued'] === undefined
        );
      },
      30_000,
    );
    const reply = smtp.messages.find((it) => it.to.includes(address('unwanted')));
    const link = /https?:\/\/[^/\s]+(\/unsubscribe\?token=[\w.~%=-]+)/.exec((await reply?.parsed())?.text ?? '');
    const ended = await http.send(link?.[1] ?? '', {
      method: 'POST',
      headers: { ...headers, ...formEncoded },
      body: 'List-Unsubscribe=One-Click',
    });
    expect(ended.status, ended.text).to.equal(200);
  });

  it('appears nowhere after posts to forms with fields, a route and a limit', async () => {
    const file = join(folder.path, 'forms.yaml');
    const route = '{ field: dish, value: fish, to: [kitchen@site.test] }';
    const declared = '[{ name: email }, { name: guest, type: email }, { name: dish, type: choice, choices: [fish] }]';
    await writeFile(
      file,
      `forms: { any: { fields: any, messageLimit: 9, language: auto }, rsvp: { routes: [${route}], fields: ${declared} } }`,
    );
    await command(['forms', 'apply', file]);
    const answers = { dish: 'fish', guest: address('guest'), note: mark, email: address('rsvp') };
    await post('/api/forms/rsvp/messages', answers, 201);
    await post('/api/forms/any/messages', { phone: mark, _language: 'de' }, 201);
    await post('/api/forms/any/messages', { email: address('any') }, 201);
    const wrong = { ...answers, dish: mark, guest: `${mark} at home` };
    await refused('values that a form does not take', http.post('/api/forms/rsvp/messages', wrong, headers), 422);
  });

  it('appears nowhere after commands that read or change it', async () => {
    const messages = JSON.parse(await command(['messages', 'list', '--json'])).items;
    expect(messages.length).to.be.greaterThan(8);
    for (const [noun, id] of [
      ['messages', messages[0].id],
      ['messages', 'latest'],
    ])
      await command([noun, 'show', id]);
    expect(await command(['messages', 'export', '--format', 'csv'])).to.include(mark);
    await command(['messages', 'export', '--format', 'jsonl']);
    const senders = JSON.parse(await command(['senders', 'list', '--json'])).items;
    for (const verb of ['show', 'block', 'unblock']) await command(['senders', verb, senders[0].id]);
    await command(['senders', 'show', '--email', address('json')]);
    const failed = JSON.parse(await command(['emails', 'list', '--state', 'failed', '--json'])).items;
    expect(await command(['emails', 'show', failed[0].id])).to.include(`${mark} is not known here`);
    await command(['emails', 'resend', failed[0].id]);
    await until('it failed again', async () => (await emailStates())['auto-reply failed'] === 1, 30_000);
    await command(['emails', 'pause', '--reason', `${address('json')} complained`]);
    await command(['health']);
    await command(['emails', 'resume']);
    await command(['messages', 'release', messages.find((it: { status: string }) => it.status === 'held').id]);
    await command(['messages', 'hold', messages.at(-1).id]);
    const accepted = messages.find((it: { status: string }) => it.status === 'accepted').id;
    const text = join(folder.path, 'reply');
    await writeFile(text, `Dear ${mark}, yes.`);
    await command(['messages', 'reply', accepted, '--text-file', text]);
    await rm(text);
    expect(await command(['messages', 'show', accepted])).to.include(`Dear ${mark}, yes.`);
    await command(['messages', 'delete', messages[1].id, '--yes']);
    expect(await command(['senders', 'export', '--email', address('formspree')])).to.include(mark);
    await command(['senders', 'erase', '--email', address('formspree'), '--yes']);
    await command(['senders', 'erasures']);
    await command(['stats']);
    await command(['purge', '--dry-run']);
    await command(['encryption', 'status']);
    const deliveries = JSON.parse(await command(['hooks', 'deliveries', 'list', '--json'])).items;
    look('deliveries', JSON.stringify(deliveries));
    const tried = deliveries.find((it: { tries: number }) => it.tries > 0);
    const shown = await command(['hooks', 'deliveries', 'show', tried.id]);
    expect(shown).to.include(`Cannot POST`).and.to.include(mark).and.not.to.include(hookToken);
    look('health', await command(['health', '--json']));
    // The last test searches it with all other files.
    await command(['backup', 'create', join(folder.path, 'backup')]);
    await command(['backup', 'verify', join(folder.path, 'backup')]);
  });

  it('appears nowhere after programs used the HTTP API', async () => {
    const made = JSON.parse(
      await command(['keys', 'create', '--name', 'test', '--scope', 'read', 'write', 'export', '--json']),
    );
    const admin = { ...headers, Authorization: `Bearer ${made.key ?? made.secret}` };
    for (const path of ['/api/senders', '/api/messages', '/api/emails']) {
      const listed = await http.get(path, admin);
      expect(listed.status, listed.text).to.equal(200);
    }
    const { items } = (await http.get('/api/senders', admin)).json;
    const erased = items.find((it: { email: string }) => it.email === address('erased'));
    const exported = await http.get(`/api/senders/${erased.id}/export`, admin);
    expect(exported.status, exported.text).to.equal(200);
    const searched = await http.post('/api/senders/search', { email: address('erased') }, admin);
    expect(searched.status, searched.text).to.equal(200);
    const gone = await http.send(`/api/senders/${erased.id}`, { method: 'DELETE', headers: admin });
    expect(gone.status, gone.text).to.be.within(200, 204);
    await refused('a sender that is gone', http.get(`/api/senders/${erased.id}`, admin), 404);
    // Its client is logged, so it comes from somebody else.
    const guess = { ...headers, 'X-Forwarded-For': '192.0.2.9', Authorization: `Bearer ${mark}` };
    await refused('a wrong key', http.get('/api/senders', guess), 401);
    await refused('a filter that is none', http.get(`/api/messages?sender=${mark}&limit=${mark}`, admin), 422).catch(
      () => {},
    );
  });

  it('appears nowhere after rejected posts and all errors', async () => {
    const bad = { ...headers, Accept: 'application/json' };
    await refused('an address that is none', http.post('/api/messages', fields(`a b ${mark}`), bad), 422);
    await refused(
      'a text that is too long',
      http.post('/api/messages', fields('long', { message: mark.repeat(2000) }), bad),
      422,
    );
    await refused(
      'fields of a wrong kind',
      http.post('/api/messages', fields('kind', { message: { [mark]: mark } }), bad),
      422,
    );
    await refused(
      'Django, without a text',
      http.post('/api/message/', { email: address('x'), first_name: mark }, bad),
      400,
    );
    await refused('Formspree, without an address', http.post('/f/contact', { email: `${mark} at home` }, bad), 422);
    await refused('what is no JSON', http.post('/api/messages', `{"email":"${address('x')}", ${mark}`, bad), 400);
    await refused(
      'what is too large',
      http.post('/api/messages', fields('large', { message: mark.repeat(20_000) }), bad),
      413,
    );
    await refused(
      'a type that is none',
      http.send('/api/messages', { method: 'POST', body: mark, headers: { ...bad, 'Content-Type': `text/${mark}` } }),
      415,
    );
    // A rejected website's name is logged so that its owner can be helped; an invalid one is not logged.
    for (const origin of ['https://elsewhere.test', `https://elsewhere.test/${mark}`]) {
      await refused(
        `the origin ${origin}`,
        http.post('/api/messages', fields('origin'), { ...bad, Origin: origin }),
        403,
      );
    }
    await refused(
      'a form that is none',
      http.post(`/f/${encodeURIComponent(address('form'))}`, fields('form'), bad),
      404,
    );
    await refused('an address that is not served', http.get(`/${mark}?${mark}=${mark}`, bad), 404);
    await refused(
      'a method that is not allowed',
      http.send('/api/messages', { method: 'PUT', body: mark, headers: bad }),
      405,
    );
    await refused('a link that nobody signed', http.get(`/unsubscribe?token=${mark}`, bad), 400);
    look('the 421 for another host', await otherHost(server.url, `${mark}.test`));

    // The database rejects the row and quotes it.
    await database.query(`alter table messages add constraint full_up check (false) not valid`);
    await refused('a fault of ours', http.post('/api/messages', fields('fault'), bad), 500);
    const faulty = await http.send('/api/messages', {
      method: 'POST',
      body: new URLSearchParams(fields('fault') as unknown as Record<string, string>).toString(),
      headers: { ...headers, ...formEncoded },
    });
    // The page returns what visitors typed, so that they can send it again; otherwise it is like the others.
    expect(faulty.text).to.include(`value="${address('fault')}"`);
    await refused(
      'a fault of ours, as a page',
      { ...faulty, text: faulty.text.replace(/<input type="hidden"[^>]*>/g, '') },
      500,
    );
    await database.query(`alter table messages drop constraint full_up`);
    // It does not answer in time.
    await database.query('begin; lock table messages in access exclusive mode');
    await refused('a database that is busy', http.post('/api/messages', fields('busy'), bad), 503);
    await database.query('rollback');
    let limited: Answer | undefined;
    await using strict = await RunningServer.start({ ...settings, DATABASE_URL: databaseUrl, RATE_LIMIT: '1/1h' }, [
      'serve',
      '--no-deliver',
    ]);
    for (let times = 0; times < 2; times++)
      limited = await clientOf(strict.url).post('/api/messages', fields(`limit${times}`), bad);
    await refused('too many', limited as Answer, 429);
    await strict.stop();
    look('the log of another server', strict.log + strict.output);
  });

  it('appears nowhere in metrics, logs, processes or a dump', async () => {
    const metrics = await http.get('/metrics', { Authorization: `Bearer ${token}` });
    expect(metrics.status).to.equal(200);
    look('/metrics', metrics.text);
    for (const path of ['/livez', '/readyz', '/thanks?receipt=RW-0000000000']) look(path, (await http.get(path)).text);
    look('the log of the server', server.log + server.output);
    expect(server.log).to.include('"level":"error"').and.to.include('unexpected error');
    look('the log of the worker', worker.log + worker.output);
    expect(worker.log).to.include('email failed');
    const processes = await ourProcesses(folder.path, [server.pid, worker.pid]);
    expect(processes.length).to.be.greaterThan(5);
    for (const { pid, told } of processes) look(`process ${pid}`, told);
    const { rows } = await database.query('select pid, query from pg_stat_activity');
    look('pg_stat_activity', JSON.stringify(rows));
    const tables = await database.query<{ name: string }>(
      `select tablename as name from pg_tables where schemaname = 'public'`,
    );
    for (const { name } of tables.rows) {
      const dumped = await database.query<{ row: string }>(`select it::text as row from ${name} as it`);
      look(`table ${name}`, dumped.rows.map((it) => it.row).join('\n'));
    }
    const dump = spawnSync('pg_dump', [databaseUrl], { encoding: 'buffer', maxBuffer: 1e9 });
    // Not on every machine, and pg_dump refuses a newer database: the tables checked above hold the same data.
    if (dump.status === 0) look('a dump', dump.stdout);
    expect(found).to.deep.equal([]);
  });

  it("appears nowhere in the database's files and statement log", async () => {
    await database.query('checkpoint');
    await worker.stop();
    await database.end();
    await server.stop();
    const files = await filesBelow(folder.path);
    expect(files.filter((it) => it.includes('/base/')).length).to.be.greaterThan(100);
    expect(files.some((it) => it.includes('/pg_wal/0'))).to.equal(true);
    for (const file of files) look(file, await readFile(file));
    expect(await readFile(join(folder.path, 'data', 'postgres.log'), 'utf8'))
      .to.include('insert into messages')
      .and.to.include('DETAIL:  Failing row contains')
      .and.to.include('canceling statement due to lock timeout');
    expect(found).to.deep.equal([]);
    expect(files.filter((it) => it.startsWith(join(folder.path, 'tmp')))).to.deep.equal([]);
  });

  it('would be found: one address shows up in table, WAL and log', async () => {
    server = await RunningServer.start(settings, ['serve', '--no-deliver']);
    database = new pg.Client({ connectionString: await joinEmbedded(settings.DATA_DIR as string) });
    await database.connect();
    await database.query(`create table leak (told text); insert into leak values ('${address('leak')}'); checkpoint`);
    await database.end();
    await server.stop();
    for (const file of await filesBelow(folder.path)) look(file, await readFile(file));
    for (const place of ['/base/', '/pg_wal/', 'postgres.log']) {
      expect(
        found.filter((it) => it.includes(place)),
        place,
      ).to.not.deep.equal([]);
    }
  });
});

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((it) => it.isFile()).map((it) => join(it.parentPath, it.name));
}

/** Command line and environment of these processes and of all processes in this folder, which includes PostgreSQL's. */
async function ourProcesses(folder: string, pids: readonly number[]): Promise<{ pid: string; told: string }[]> {
  const processes: { pid: string; told: string }[] = [];
  for (const pid of (await readdir('/proc')).filter((it) => /^\d+$/.test(it))) {
    // Other processes start and end meanwhile.
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (!cwd.startsWith(folder) && !pids.includes(Number(pid))) continue;
    const [line, environment] = await Promise.all(
      ['cmdline', 'environ'].map((it) => readFile(`/proc/${pid}/${it}`, 'latin1').catch(() => '')),
    );
    processes.push({ pid, told: `${line}\n${environment}` });
  }
  return processes;
}

/** `fetch` does not let us set the Host header. */
function otherHost(url: string, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/api/messages`, { method: 'POST', headers: { Host: host } }, (response) => {
      let text = `${response.statusCode} `;
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => resolve(text));
    });
    asked.on('error', reject).end();
  });
}
