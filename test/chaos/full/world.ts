import { join } from 'node:path';
import { freePort } from '../../support/machine-programs.ts';
import { ruffinweb, type Settings } from '../../support/program.ts';
import { randomFrom } from '../../support/random.ts';
import type { SmtpServerOptions } from '../../support/smtp-server.ts';
import { until } from '../../support/until.ts';
import { gatherFacts } from './judges/gather-facts.ts';
import { type Facts, judge, type Verdict } from './judges/oracle.ts';
import { Load } from './ledgers/load.ts';
import { type Outside, openOutside } from './outside.ts';
import { Process, type ProcessOptions } from './process.ts';

export interface WorldOptions {
  /** A server of PostgreSQL that keeps what it commits. */
  postgres: {
    urlOf(database: string): string;
    /** Its log file, which may not name visitors either. */
    log?: string;
  };
  seed: number;
  /** Posts each second. */
  rate: number;
  /** How many servers take posts; one by default. */
  servers?: number;
  settings?: Settings;
  /** False: no hook is told, for the sake of a release that knows none. */
  hooks?: false;
  /** False: visitors post nothing a second time on purpose. */
  repeats?: false;
  /** Of the mail server. */
  mail?: SmtpServerOptions;
}

/** The forms of every world, what a message of each brings about, and how many of a hundred posts go there. */
export const forms = {
  plain: { notifications: 1, autoReply: false, hooks: 0 },
  full: { notifications: 1, autoReply: true, hooks: 1 },
} as const;
const weights = { plain: 80, full: 20 };

/** The longest times between the end of a fault and the next answer 201, and the next mail, in seconds. */
export interface Recovery {
  servedS: number;
  mailS: number;
}

/** An installation for one fault, with visitors, and everything around it. */
export class World implements AsyncDisposable {
  readonly outside: Outside;
  readonly random: () => number;
  /** No log may contain it. */
  readonly canary: string;
  readonly load: Load;
  readonly urls: readonly string[];
  /** The processes that a fault may break. */
  readonly servers: Process[] = [];
  readonly workers: Process[] = [];
  /** Processes that ended although nobody stopped them. */
  readonly ended: string[] = [];
  /** A fault that moves clocks by days says so. */
  clocksJumped = false;
  /** What would not have left within a day. */
  readonly stuck: string[] = [];
  /** The worst so far. */
  readonly recovery: Recovery = { servedS: 0, mailS: 0 };
  /** What reached the receivers before is of the set-up. */
  readonly openedAt = Date.now();
  readonly #logs = new Set<string>();
  readonly #forms: Facts['forms'];

  private constructor(
    outside: Outside,
    urls: readonly string[],
    { seed, rate, postgres, hooks, repeats }: WorldOptions,
  ) {
    this.outside = outside;
    this.urls = urls;
    this.#forms = hooks === false ? { ...forms, full: { ...forms.full, hooks: 0 } } : forms;
    this.random = randomFrom(seed);
    this.canary = `canary${seed}`;
    if (postgres.log) this.#logs.add(postgres.log);
    this.load = new Load({
      ...{ urls, rate, forms: weights, random: randomFrom(seed + 1), canary: this.canary },
      ...(repeats === false && { againOneIn: Number.POSITIVE_INFINITY }),
      ledgerPath: join(outside.folder, 'visits'),
    });
  }

  /** With its schema, its forms and a hook, but no process yet: the visitors come, and find nobody. */
  static async open(options: WorldOptions): Promise<World> {
    const outside = await openOutside(options.postgres, options.settings ?? {}, options.mail);
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await ruffinweb(args, outside.settings);
      if (code !== 0) throw new Error(`${args.join(' ')}: ${code} ${stderr}${stdout}`);
    };
    await run('migrate', 'up');
    await run('forms', 'add', 'plain', '--auto-reply', 'off', '--notify-limit', 'off');
    await run('forms', 'add', 'full', '--auto-reply', 'on', '--notify-limit', 'off');
    if (options.hooks !== false) await run('hooks', 'add', outside.hooks.url, '--allow-http', '--form', 'full');
    await liftReplyLimit(outside.database);
    const ports = await Promise.all(Array.from({ length: options.servers ?? 1 }, freePort));
    return new World(
      outside,
      ports.map((it) => `http://127.0.0.1:${it}`),
      options,
    );
  }

  /** A process that takes posts, at the address of this number. It sends no mail. */
  startServer(number = 0, options: ProcessOptions & { settings?: Settings } = {}): Process {
    const port = new URL(this.urls[number] ?? '').port;
    const server = this.start(['serve', '--no-deliver'], `server-${number}`, {
      ...options,
      settings: { PORT: port, ...options.settings },
    });
    this.servers[number] = server;
    return server;
  }

  /** A process that sends mail and calls hooks. */
  startWorker(number = 0, options: ProcessOptions & { settings?: Settings } = {}): Process {
    const worker = this.start(['deliver'], `worker-${number}`, options);
    this.workers[number] = worker;
    return worker;
  }

  start(
    args: readonly string[],
    log: string,
    { settings, ...options }: ProcessOptions & { settings?: Settings },
  ): Process {
    const path = join(this.outside.folder, `${log}.log`);
    this.#logs.add(path);
    const all = { ...this.outside.settings, ...settings };
    return new Process(args, all, path, (how) => this.ended.push(how), options);
  }

  async query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.outside.database.query<Row>(text, values)).rows;
  }

  /** Waits until this many more posts are acknowledged. */
  async acknowledges(more: number, withinMs = 60_000): Promise<void> {
    const goal = this.load.acknowledged + more;
    await until(`${more} more posts are acknowledged`, () => this.load.acknowledged >= goal, withinMs);
  }

  /** Waits until this many more mails are taken. */
  async sends(more: number, withinMs = 60_000): Promise<void> {
    const { ledger } = this.outside.mail;
    const goal = ledger.count + more;
    await until(`${more} more mails are sent`, () => ledger.count >= goal, withinMs);
  }

  /** From the end of a fault until the next post is acknowledged and the next mail taken. */
  async recovers(withinMs = 120_000): Promise<Recovery> {
    const end = Date.now();
    const secondsUntil = async (what: string, of: { lastAt: number }) =>
      (await until(what, () => of.lastAt > end && of.lastAt - end, withinMs)) / 1000;
    const [servedS, mailS] = await Promise.all([
      secondsUntil('posts are acknowledged again', this.load),
      secondsUntil('mail flows again', this.outside.mail),
    ]);
    this.recovery.servedS = Math.max(this.recovery.servedS, servedS);
    this.recovery.mailS = Math.max(this.recovery.mailS, mailS);
    return { servedS, mailS };
  }

  /**
   * The visitors stop, all mail leaves, and everything is compared. Every process is stopped as an operator does it, so a
   * lease that is left belongs to one that died: its time passes here at once.
   *
   * @param adjust takes out of the facts what this fault may take from them.
   */
  async finish(adjust: (facts: Facts) => Facts = (it) => it): Promise<Verdict> {
    await this.load.stop();
    for (const it of [...this.servers, ...this.workers]) if (it.isRunning) await this.stopCleanly(it);
    this.outside.mailProxy.mode = 'pass';
    this.outside.databaseProxy.mode = 'pass';
    // Before its time passes: after minutes of tries nothing waits for longer than this. What clocks far ahead leave,
    // the program's daily maintenance finds.
    const far = `state = 'queued' and due_at > now() + interval '1 day'`;
    if (!this.clocksJumped)
      this.stuck.push(
        ...(
          await this.query<{ id: string }>(
            `select id from emails where ${far} union all select id from hook_deliveries where ${far}`,
          )
        ).map((it) => it.id),
      );
    this.startWorker();
    await until('all mail has left', () => this.#isDrained(), 240_000);
    if (this.workers[0]) await this.stopCleanly(this.workers[0]);
    return judge(adjust(await gatherFacts(this, [...this.#logs], this.#forms)));
  }

  /**
   * As an operator stops it (SIGTERM): anything but exit code 0 counts as a crash. While it starts, and has taken nothing
   * yet, the signal itself may end it.
   */
  async stopCleanly(process: Process): Promise<void> {
    const isStarting = performance.now() - process.startedAt < 5000;
    const how = await process.stop();
    if (how !== '0' && !(how === 'SIGTERM' && isStarting))
      this.ended.push(`a process that was stopped with SIGTERM ended with ${how}`);
  }

  #drains = 0;

  async #isDrained(): Promise<boolean> {
    if (this.#drains++ % 20 === 0) {
      const isIdle = `state = 'queued' and (lease_token is null or ${this.#drains === 1})`;
      await this.query(`update emails set due_at = now() where ${isIdle}`);
      await this.query(`update hook_deliveries set due_at = now() where ${isIdle}`);
      await this.query(`update hooks set quiet_until = null`);
      await this.query(`update mail_queue set probed_at = probed_at - interval '1 minute'`);
      await this.query(`select pg_notify('ruffinweb_emails', '')`);
    }
    const open = `select from emails where state = 'queued' union all select from hook_deliveries where state = 'queued'`;
    return (await this.query(`${open} limit 1`)).length === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.load.stop();
    for (const it of [...this.servers, ...this.workers]) await it[Symbol.asyncDispose]();
    await this.outside[Symbol.asyncDispose]();
  }
}

/** Without a form's hourly limit of auto-replies, or nearly no message of a long run would get one. */
export async function liftReplyLimit(database: { query(text: string): Promise<unknown> }): Promise<void> {
  await database.query(`
    create function never_full() returns trigger language plpgsql as 'begin new.replies := least(new.replies, 50); return new; end';
    create trigger never_full before insert or update on reply_hours for each row execute function never_full()`);
}
