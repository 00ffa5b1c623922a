import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Answer, Moment, SmtpServer, Step } from './smtp-server.ts';

class Ended extends Error {}

/** One connection: reads a command, gives the scripted answer, reads the next. */
export class SmtpSession {
  readonly #server: SmtpServer;
  readonly #plain: Socket;
  readonly #number: number;
  #socket: Socket;
  #input = '';
  #wake: () => void = () => {};
  #ended = false;
  #garbage = false;
  #accepted = 0;
  #user: string | undefined;
  #from = '';
  #to: string[] = [];

  constructor(server: SmtpServer, socket: Socket, number: number) {
    this.#server = server;
    this.#plain = socket;
    this.#socket = socket;
    this.#number = number;
  }

  async run(): Promise<void> {
    try {
      if (this.#server.options.tls === 'implicit') this.#startTls();
      else this.#listen(this.#plain);
      await this.#answer('greeting', '', '220 mail.test ESMTP');
      for (;;) await this.#obey(await this.#line());
    } catch (error) {
      // The last answer must still be sent; a client that is gone needs nothing more.
      if (this.#ended || !(error instanceof Ended)) this.#plain.destroy();
      if (!(error instanceof Ended)) throw error;
    }
  }

  async #obey(line: string): Promise<void> {
    this.#server.note(line);
    const [verb = '', argument = ''] = line.split(/ (.*)/s);
    switch (verb.toUpperCase()) {
      case 'EHLO':
        return void (await this.#answer('ehlo', argument, this.#capabilities()));
      case 'HELO':
        return void (await this.#answer('ehlo', argument, '250 mail.test'));
      case 'STARTTLS':
        if (
          this.#isOk(await this.#answer('starttls', '', this.#offersTls() ? '220 go ahead' : '502 5.5.1 not here')) &&
          !this.#garbage
        )
          this.#startTls();
        return;
      case 'AUTH':
        return await this.#login(argument);
      case 'MAIL':
        this.#from = addressIn(argument);
        this.#to = [];
        if (
          !this.#isOk(
            await this.#answer(
              'mail',
              argument,
              this.#mayMail() ? '250 2.1.0 ok' : '530 5.7.0 authentication required',
            ),
          )
        )
          this.#from = '';
        return;
      case 'RCPT':
        this.#to.push(addressIn(argument));
        if (!this.#isOk(await this.#answer('rcpt', argument, '250 2.1.5 ok'))) this.#to.pop();
        return;
      case 'DATA':
        if (!this.#to.length) return this.#say('503 5.5.1 no valid recipients');
        return await this.#message();
      case 'RSET':
        this.#to = [];
        return void (await this.#answer('rset', '', '250 2.0.0 ok'));
      case 'NOOP':
        return this.#say('250 ok');
      case 'QUIT':
        await this.#answer('quit', '', '221 2.0.0 bye');
        return this.#end();
      default:
        return this.#say('500 5.5.2 what?');
    }
  }

  async #message(): Promise<void> {
    const answer = await this.#answer('data', '', '354 go ahead');
    if (!answer.startsWith('3')) return;
    if (!this.#input) await this.#more();
    await this.#answer('body', '', '');
    // Including the line end of DATA, so that the text cannot begin inside a line.
    let text = '\r\n';
    for (;;) {
      text += this.#input;
      this.#input = '';
      const end = text.indexOf('\r\n.\r\n', Math.max(0, text.length - 80_000));
      if (end >= 0) {
        this.#input = text.slice(end + 5);
        text = text.slice(2, end + 2);
        break;
      }
      await this.#more();
    }
    const raw = text.replace(/^\.\./gm, '.');
    const limit = this.#server.options.sizeLimit ?? Number.POSITIVE_INFINITY;
    const mail = {
      from: this.#from,
      to: [...this.#to],
      raw,
      connection: this.#number,
      secure: this.#socket instanceof TLSSocket,
      user: this.#user,
    };
    this.#server.arrived(mail);
    // Recorded before the answer is written: a real server has the mail on disk before it says 250.
    await this.#answer('dot', '', raw.length > limit ? '552 5.3.4 message too big' : '250 2.0.0 queued', (decided) => {
      this.#server.record(mail, decided);
      if (this.#isOk(decided)) this.#accepted += 1;
    });
    this.#from = '';
    this.#to = [];
  }

  async #login(argument: string): Promise<void> {
    const [method = '', initial] = argument.split(' ');
    const decode = (text: string) => Buffer.from(text, 'base64').toString('utf8');
    let user = '';
    let password = '';
    if (method.toUpperCase() === 'PLAIN') {
      if (initial === undefined) this.#say('334 ');
      [, user = '', password = ''] = decode(initial ?? (await this.#line())).split('\0');
    } else {
      this.#say('334 VXNlcm5hbWU6');
      user = decode(await this.#line());
      this.#say('334 UGFzc3dvcmQ6');
      password = decode(await this.#line());
    }
    const auth = this.#server.options.auth;
    const right = user === auth?.user && password === auth.password;
    const usual = !auth ? '502 5.5.1 not here' : right ? '235 2.7.0 welcome' : '535 5.7.8 wrong user or password';
    if (this.#isOk(await this.#answer('auth', method, usual))) this.#user = user;
  }

  #capabilities(): string {
    const { auth, sizeLimit, capabilities = ['PIPELINING', '8BITMIME', 'ENHANCEDSTATUSCODES'] } = this.#server.options;
    const lines = ['mail.test', ...capabilities];
    if (this.#offersTls()) lines.push('STARTTLS');
    if (auth) lines.push(`AUTH ${(auth.methods ?? ['PLAIN', 'LOGIN']).join(' ')}`);
    if (sizeLimit !== undefined) lines.push(`SIZE ${sizeLimit}`);
    return lines.map((line, index) => `250${index < lines.length - 1 ? '-' : ' '}${line}`).join('\r\n');
  }

  #offersTls(): boolean {
    return this.#server.options.tls === 'starttls' && !(this.#socket instanceof TLSSocket);
  }

  #mayMail(): boolean {
    return !this.#server.options.auth || this.#user !== undefined;
  }

  #isOk(answer: string): boolean {
    return answer.startsWith('2');
  }

  /** Gives the scripted answer or the default one, and returns what it sent. */
  async #answer(
    step: Step,
    argument: string,
    usual: string,
    decided: (answer: string) => void = () => {},
  ): Promise<string> {
    const moment: Moment = {
      step,
      connection: this.#number,
      accepted: this.#accepted,
      from: this.#from,
      to: [...this.#to],
      argument,
    };
    let answer: Answer | undefined = this.#server.choose(moment);
    if (answer === 'deaf') {
      this.#say(usual);
      this.#plain.pause();
      const released = await this.#server.hold(moment);
      this.#plain.resume();
      if (released === undefined) return usual;
      answer = released;
    }
    if (answer === 'hold') answer = await this.#server.hold(moment);
    if (answer === undefined) answer = usual;
    if (answer === 'drop' || answer === 'reset') {
      decided(answer);
      return this.#end(answer === 'reset');
    }
    if (answer === 'garbage') {
      this.#garbage = true;
      answer = usual;
    }
    if (typeof answer === 'object' && 'drip' in answer) return await this.#drip(answer.drip, answer.everyMs ?? 20);
    const text = typeof answer === 'string' ? answer : answer.raw;
    decided(text);
    if (typeof answer === 'string') this.#say(answer);
    else this.#socket.write(answer.raw, 'latin1');
    if (/^421[ -]/.test(text)) this.#end();
    return text;
  }

  #say(text: string): void {
    if (text) this.#socket.write(`${text}\r\n`, 'utf8');
  }

  async #drip(text: string, everyMs: number): Promise<never> {
    for (let index = 0; ; index += 1) {
      if (this.#ended || this.#plain.destroyed) throw new Ended();
      this.#socket.write(text[index % text.length] ?? ' ', 'latin1');
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, everyMs);
      this.#plain.once('close', resolve);
      await promise;
      clearTimeout(timer);
      this.#plain.off('close', resolve);
    }
  }

  #end(reset = false): never {
    if (reset) this.#plain.resetAndDestroy();
    else this.#socket.end();
    throw new Ended();
  }

  #startTls(): void {
    this.#plain.removeAllListeners('data');
    this.#input = '';
    this.#listen(new TLSSocket(this.#plain, { isServer: true, ...this.#server.credentials }));
  }

  #listen(socket: Socket): void {
    this.#socket = socket;
    socket.on('error', () => this.#close());
    socket.on('close', () => this.#close());
    socket.on('end', () => this.#close());
    socket.on('data', (chunk) => {
      if (this.#garbage) {
        socket.write('\0\x01garbage\xff\r\n', 'latin1');
        return;
      }
      // One character per byte, so that lengths are octets.
      this.#input += chunk.toString('latin1');
      this.#wake();
    });
  }

  #close(): void {
    this.#ended = true;
    this.#wake();
  }

  async #more(): Promise<void> {
    if (this.#ended) throw new Ended();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#input.indexOf('\n');
      if (end >= 0) {
        const line = this.#input.slice(0, end).replace(/\r$/, '');
        this.#input = this.#input.slice(end + 1);
        return line;
      }
      await this.#more();
    }
  }
}

function addressIn(argument: string): string {
  return /<([^>]*)>/.exec(argument)?.[1] ?? argument;
}
