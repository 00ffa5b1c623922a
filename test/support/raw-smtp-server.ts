import { type AddressInfo, createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { SmtpServer } from './smtp-server.ts';

export const rawSteps = ['greeting', 'ehlo', 'starttls', 'auth', 'mail', 'rcpt', 'data', 'dot'] as const;
export type RawStep = (typeof rawSteps)[number];

/** Bytes, as one character each, that answer one step, well formed or not. */
export interface RawReply {
  readonly bytes: string;
  /** Written in pieces that end at these places. */
  readonly cuts?: readonly number[];
  /** `flood`: the bytes again and again, until the client hangs up. */
  readonly after?: 'end' | 'reset' | 'flood';
}

/** Answers of one connection. Steps without one get `usual`. */
export type RawScript = Partial<Record<RawStep, RawReply>> & {
  /** Whether the server reads TLS after its reply to STARTTLS. */
  readonly tls?: boolean;
};

export const usual: Readonly<Record<RawStep, RawReply>> = {
  greeting: { bytes: '220 mail.test ESMTP\r\n' },
  ehlo: { bytes: '250-mail.test\r\n250 8BITMIME\r\n' },
  starttls: { bytes: '220 go ahead\r\n' },
  auth: { bytes: '235 2.7.0 welcome\r\n' },
  mail: { bytes: '250 2.1.0 ok\r\n' },
  rcpt: { bytes: '250 2.1.5 ok\r\n' },
  data: { bytes: '354 go ahead\r\n' },
  dot: { bytes: '250 2.0.0 queued\r\n' },
};

/** What one connection saw. Written down before the answer is written. */
export interface RawSession {
  /** Without TLS. */
  readonly socket: Socket;
  readonly script: RawScript;
  /** Commands and texts that came without TLS. */
  readonly plain: string[];
  /** Steps that were reached. */
  readonly steps: RawStep[];
  /** Everything that was said, from each step on. */
  readonly said: { step: RawStep; bytes: string }[];
  /** The Message-ID of each text whose final dot came. */
  readonly texts: string[];
  /** Until the last reply is written. */
  saying: Promise<void>;
}

const { credentials } = new SmtpServer({});
/** A flood ends after this, so that a client that reads everything is found out. */
export const floodBytes = 20_000_000;

/** An SMTP server that answers with any bytes, and keeps a ledger. The first connection of `script` gets its answers. */
export class RawSmtpServer implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly sessions: RawSession[] = [];
  /** Most bytes that one client took of a flood. */
  flooded = 0;
  /** The script of the next connection. */
  next: () => RawScript = () => ({});
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => {
    this.#sockets.add(socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket)));
    socket.setNoDelay(true);
    const session: RawSession = {
      socket,
      script: this.next(),
      plain: [],
      steps: [],
      said: [],
      texts: [],
      saying: Promise.resolve(),
    };
    this.sessions.push(session);
    this.#listen(socket, session);
    this.#answer(socket, session, 'greeting');
  });

  static async open(): Promise<RawSmtpServer> {
    const server = new RawSmtpServer();
    await new Promise<void>((resolve) => server.#server.listen(0, server.host, resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  #listen(socket: Socket, session: RawSession): void {
    let input = '';
    let text: string | undefined;
    const isPlain = !(socket instanceof TLSSocket);
    const take = (chunk: Buffer) => {
      input += chunk.toString('latin1');
      for (;;) {
        const end = input.indexOf('\r\n');
        if (end < 0) return;
        const line = input.slice(0, end);
        input = input.slice(end + 2);
        if (isPlain) session.plain.push(line);
        if (text === undefined) {
          const step = stepOf(line);
          this.#answer(socket, session, step);
          if (step === 'starttls' && session.script.tls) {
            socket.off('data', take);
            this.#listen(
              new TLSSocket(socket, { isServer: true, ...credentials }).on('error', () => {}),
              session,
            );
            return;
          }
          if (step === 'data' && /^3/m.test(replyOf(session.script, step).bytes)) text = '';
        } else if (line === '.') {
          session.texts.push(/^Message-ID: (<.+>)/im.exec(text)?.[1] ?? '');
          text = undefined;
          this.#answer(socket, session, 'dot');
        } else text += `${line}\r\n`;
      }
    };
    socket.on('data', take);
  }

  /** One reply after another, also to commands that came together. */
  #answer(socket: Socket, session: RawSession, step: RawStep | undefined): void {
    session.saying = session.saying.then(() => this.#say(socket, session, step));
  }

  async #say(socket: Socket, session: RawSession, step: RawStep | undefined): Promise<void> {
    if (step === undefined) {
      socket.write('250 ok\r\n');
      return;
    }
    const { bytes, cuts = [], after } = replyOf(session.script, step);
    session.steps.push(step);
    session.said.push({ step, bytes });
    if (after === 'flood') {
      this.#flood(socket, bytes);
      return;
    }
    const places = [...new Set([0, ...cuts.map((it) => it % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
    for (const [index, from] of places.slice(0, -1).entries()) {
      // A turn of events each, so that they leave as packets of their own.
      if (index > 0) await new Promise((resolve) => setImmediate(resolve));
      if (!socket.destroyed) socket.write(bytes.slice(from, places[index + 1]), 'latin1');
    }
    if (after === 'end') socket.end();
    // A reset drops what is in the buffers, so it has to leave first.
    if (after === 'reset') setImmediate(() => session.socket.resetAndDestroy());
  }

  #flood(socket: Socket, bytes: string): void {
    const piece = Buffer.from(bytes.repeat(Math.ceil(65_536 / bytes.length)), 'latin1');
    let written = 0;
    const more = () => {
      while (!socket.destroyed && written < floodBytes) {
        written += piece.length;
        this.flooded = Math.max(this.flooded, written);
        if (!socket.write(piece)) return;
      }
    };
    socket.on('drain', more);
    more();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function replyOf(script: RawScript, step: RawStep): RawReply {
  return script[step] ?? usual[step];
}

/** Undefined for a command that no script answers. */
function stepOf(line: string): RawStep | undefined {
  const verb = line.slice(0, 4).toUpperCase();
  if (verb === 'EHLO' || verb === 'HELO') return 'ehlo';
  if (verb === 'STAR') return 'starttls';
  const step = verb.toLowerCase() as RawStep;
  return rawSteps.includes(step) ? step : undefined;
}
