import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as elapsed } from 'node:timers/promises';
import PostalMime, { type Email } from 'postal-mime';
import { SmtpSession } from './smtp-session.ts';

/** The points of a session at which another answer than the default can be given. */
export type Step =
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  /** The first bytes of the message have arrived. */
  | 'body'
  /** The whole message has arrived; it is recorded only if the answer begins with 2. */
  | 'dot'
  | 'rset'
  | 'quit';

/**
 * - a string: the reply, without line end; `\n` inside makes a reply of several lines, sent unchanged.
 *   After 421 the connection is closed.
 * - `drop`: the connection ends without a reply. `reset`: the same, with a TCP reset.
 * - `hold`: nothing happens until the test lets go, see `held`.
 * - `deaf`: replies, then stops reading (for `data`: the rest stays in the network). Held like `hold`.
 * - `garbage`: the default reply; the client's next command is answered with meaningless bytes.
 * - `{ drip }`: this text, byte by byte, repeated for ever.
 * - `{ raw }`: exactly these bytes; the session continues as after the default reply.
 */
export type Answer =
  | string
  | 'drop'
  | 'reset'
  | 'hold'
  | 'deaf'
  | 'garbage'
  | { readonly drip: string; readonly everyMs?: number }
  | { readonly raw: string };

export interface Moment {
  readonly step: Step;
  /** Counts from 1. */
  readonly connection: number;
  /** Mails accepted on this connection so far. */
  readonly accepted: number;
  readonly from: string;
  readonly to: readonly string[];
  /** The text after the command: an address with its parameters, or the name in EHLO. */
  readonly argument: string;
}

type Choice = Answer | ((moment: Moment) => Answer | undefined);

/** A mail that was answered with 250. */
export interface Received {
  readonly from: string;
  readonly to: readonly string[];
  /** As sent, without SMTP's dot-stuffing. */
  readonly raw: string;
  readonly connection: number;
  readonly secure: boolean;
  /** The user who was logged in. */
  readonly user: string | undefined;
  parsed(): Promise<Email>;
}

export interface Held {
  readonly moment: Moment;
  /** Lets the session continue with the default answer or this one. */
  release(answer?: Answer): void;
}

export interface SmtpServerOptions {
  readonly tls?: 'implicit' | 'starttls';
  /** Mail is accepted only after this login. */
  readonly auth?: {
    readonly user: string;
    readonly password: string;
    readonly methods?: readonly ('PLAIN' | 'LOGIN')[];
  };
  /** Announced in EHLO; a larger mail gets 552 after the dot. */
  readonly sizeLimit?: number;
  /** More lines for EHLO. PIPELINING is what most servers offer. */
  readonly capabilities?: readonly string[];
  readonly port?: number;
}

const tlsFolder = new URL('tls/', import.meta.url);

/** The certificate of every TLS test server; clients that trust it as a CA can use `localhost` and 127.0.0.1. */
export const testCertificate = readFileSync(new URL('cert.pem', tlsFolder), 'utf8');
const testKey = readFileSync(new URL('key.pem', tlsFolder), 'utf8');

/** Starts a scripted SMTP server on a free loopback port. */
export async function startSmtpServer(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const server = new SmtpServer(options);
  await server.listen();
  return server;
}

export class SmtpServer {
  readonly host = '127.0.0.1';
  readonly options: SmtpServerOptions;
  readonly credentials = { key: testKey, cert: testCertificate };
  /** Recorded before the 250 is written. */
  readonly messages: Received[] = [];
  /** Every message whose final dot arrived, with the first line of the answer, accepted or not. */
  readonly attempts: Array<Omit<Received, 'parsed'> & { readonly answer: string }> = [];
  readonly connections = { total: 0, open: 0 };
  /** Every command in the order of arrival, without the arguments of AUTH. */
  readonly commands: string[] = [];

  readonly #rules: Array<{ step: Step; choose: Choice; to: string | undefined; left: number }> = [];
  readonly #held: Array<Held & { step: Step; taken: boolean }> = [];
  readonly #sockets = new Set<Socket>();
  readonly #watchers = new Set<() => void>();
  readonly #server = createServer((socket) => this.#connect(socket));

  constructor(options: SmtpServerOptions) {
    this.options = options;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * From now on answers a step differently. The latest matching rule wins.
   *
   * @param only `to`: for recipients with this local part or address (from `rcpt` on); `times`: how often it applies.
   */
  answer(step: Step, choose: Choice, only: { to?: string; times?: number } = {}): void {
    this.#rules.unshift({ step, choose, to: only.to, left: only.times ?? Number.POSITIVE_INFINITY });
  }

  /** Deletes all rules and everything received; sessions continue. */
  reset(): void {
    this.#rules.length = 0;
    this.messages.length = 0;
    this.attempts.length = 0;
    this.commands.length = 0;
  }

  /** Waits until this many messages were accepted in total. */
  async received(count: number, withinMs = 30_000): Promise<readonly Received[]> {
    await this.until(() => this.messages.length >= count, `${count} messages`, withinMs);
    return this.messages;
  }

  /** Waits for a session held at this step; each call returns another one. */
  async held(step: Step, withinMs = 30_000): Promise<Held> {
    const find = () => this.#held.find((held) => held.step === step && !held.taken);
    await this.until(() => find() !== undefined, `a session held at "${step}"`, withinMs);
    const held = find();
    if (!held) throw new Error('unreachable');
    held.taken = true;
    return held;
  }

  async heldAfterDot(withinMs?: number): Promise<Held> {
    return await this.held('dot', withinMs);
  }

  /** Waits for any condition on this server. */
  async until(condition: () => boolean, what: string, withinMs = 30_000): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = () => {
      if (condition()) resolve();
    };
    this.#watchers.add(check);
    const late = new AbortController();
    try {
      check();
      const timeout = elapsed(withinMs, 'late' as const, { signal: late.signal, ref: true }).catch(
        () => 'done' as const,
      );
      if ((await Promise.race([promise, timeout])) === 'late') {
        throw new Error(
          `SMTP server: waited ${withinMs} ms for ${what}; ${this.messages.length} messages accepted, ${this.connections.total} connections (${this.connections.open} open), last commands: ${this.commands.slice(-5).join(' | ')}`,
        );
      }
    } finally {
      this.#watchers.delete(check);
      late.abort();
    }
  }

  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(this.options.port ?? 0, this.host, resolve);
    await promise;
  }

  /** Resets every connection; the server keeps listening. */
  dropAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }

  // Called by the sessions.

  choose(moment: Moment): Answer | undefined {
    for (const rule of this.#rules) {
      if (rule.step !== moment.step || rule.left <= 0) continue;
      if (rule.to !== undefined && !moment.to.some((it) => it === rule.to || it.split('@')[0] === rule.to)) continue;
      const answer = typeof rule.choose === 'function' ? rule.choose(moment) : rule.choose;
      if (answer === undefined) continue;
      rule.left -= 1;
      return answer;
    }
    return undefined;
  }

  hold(moment: Moment): Promise<Answer | undefined> {
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    this.#held.push({ step: moment.step, moment, taken: false, release: resolve });
    this.changed();
    return promise;
  }

  /** The whole mail is here, and has no answer yet. */
  arrived(_mail: Omit<Received, 'parsed'>): void {}

  record(received: Omit<Received, 'parsed'>, answer: string): void {
    this.attempts.push({ ...received, answer: answer.split('\n')[0] ?? '' });
    if (answer.startsWith('2'))
      this.messages.push({ ...received, parsed: () => PostalMime.parse(Buffer.from(received.raw, 'latin1')) });
    this.changed();
  }

  note(command: string): void {
    this.commands.push(/^auth /i.test(command) ? 'AUTH …' : command);
    this.changed();
  }

  changed(): void {
    for (const check of this.#watchers) check();
  }

  #connect(socket: Socket): void {
    this.connections.total += 1;
    this.connections.open += 1;
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.once('close', () => {
      this.connections.open -= 1;
      this.#sockets.delete(socket);
      this.changed();
    });
    this.changed();
    void new SmtpSession(this, socket, this.connections.total).run();
  }
}
