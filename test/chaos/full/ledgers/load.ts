import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { randomFrom } from '../../../support/random.ts';
import { Ledger } from './ledger.ts';

/** One line of the visitors' own ledger. A post has a line before it is sent, and one for each answer. */
export interface VisitLine {
  at: number;
  /** The Idempotency-Key, which also stands in the message. */
  key: string;
  /** `sent` before each try; then the answer's status, or `none`. */
  answer: 'sent' | 'none' | number;
  form?: string;
  /** Of the answer 201. */
  id?: string;
  /** The answer ended within its body. */
  isCut?: true;
  /** Why there is no answer. */
  why?: string;
  /** Posted again on purpose, after it was acknowledged: the same post, or another one under the same key. */
  again?: 'same' | 'other';
}

export interface LoadOptions {
  urls: readonly string[];
  /** Posts begun each second, answered or not. */
  rate: number;
  /** How many of a hundred posts go to the form of this slug. */
  forms: Readonly<Record<string, number>>;
  random: () => number;
  /** A word that no log may contain: it stands in each name, address and message. */
  canary: string;
  ledgerPath: string;
  /** One acknowledged post in so many is posted again, under its key. */
  againOneIn?: number;
}

type Answer = { status: number | 'none' } & Pick<VisitLine, 'id' | 'why' | 'isCut'>;

/** At most this many posts wait for an answer; more visitors would only wait in this process. */
const maxOpen = 400;
const patienceMs = 15_000;

interface Post {
  key: string;
  form: string;
  email: string;
  message: string;
  /** The visitor's own, so that limits by network or by domain do not apply. */
  ip: string;
  /** Of its own: what a visitor chooses does not depend on how quickly others are answered. */
  random: () => number;
}

/**
 * Visitors who come at a steady rate, whether the server answers or not. One without an answer, or with a 5xx, which
 * says that nothing is certain, or 409, which says that its first try is not over, tries again with the same key until `stop`.
 */
export class Load {
  readonly ledger: Ledger<VisitLine>;
  acknowledged = 0;
  /** Answers 5xx so far. */
  refused = 0;
  /** When the last 201 came, in milliseconds since 1970. */
  lastAt = 0;
  readonly #options: LoadOptions;
  /** It gives idle connections up before the server does (5 s), which would meet some posts. */
  readonly #agent = new Agent({ keepAlive: true, maxSockets: maxOpen, timeout: 3000 });
  readonly #open = new Set<Promise<void>>();
  #rate: number;
  #number = 0;
  #tries = 0;
  #isStopped = false;
  readonly #arrivals: Promise<void>;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#rate = options.rate;
    this.ledger = new Ledger(options.ledgerPath);
    this.#arrivals = this.#arrive();
  }

  /** Posts each second from now on. */
  set rate(perSecond: number) {
    this.#rate = perSecond;
  }

  /** No more posts; those without an answer end as unknown after their last try. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#arrivals;
    await Promise.all(this.#open);
    this.#agent.destroy();
  }

  /** One visitor more, now. @returns when the post was acknowledged, or the load stopped. */
  visit(): Promise<void> {
    const visit = this.#visit().finally(() => this.#open.delete(visit));
    this.#open.add(visit);
    return visit;
  }

  async #visit(): Promise<void> {
    const post = this.#newPost();
    for (let tries = 0; tries === 0 || !this.#isStopped; tries++) {
      const answer = await this.#send(post);
      if (answer.status !== 'none' && answer.status < 500 && answer.status !== 409) {
        if (answer.status === 201 && post.random() < 1 / (this.#options.againOneIn ?? 50)) await this.#sendAgain(post);
        return;
      }
      await pause(100 + post.random() * 400);
    }
  }

  async #arrive(): Promise<void> {
    const beginning = performance.now();
    let due = 0;
    for (let last = beginning; !this.#isStopped; ) {
      await pause(10);
      const now = performance.now();
      due = Math.min(due + ((now - last) * this.#rate) / 1000, this.#rate);
      last = now;
      for (; due >= 1 && this.#open.size < maxOpen; due--) void this.visit();
    }
  }

  #newPost(): Post {
    const { forms, canary } = this.#options;
    const random = randomFrom(this.#options.random() * 2 ** 32);
    const number = this.#number++;
    const key = `${canary}-${number}`;
    const slugs = Object.entries(forms).flatMap(([slug, weight]) => Array<string>(weight).fill(slug));
    const form = slugs[Math.floor(random() * slugs.length)] ?? '';
    const ip = `10.${(number >> 8) & 255}.${number & 255}.1`;
    return { key, form, ip, email: `ada@${key}.test`, message: `The post ${key}.`, random };
  }

  async #sendAgain(post: Post): Promise<void> {
    const again = post.random() < 0.5 ? 'same' : 'other';
    await this.#send(again === 'same' ? post : { ...post, message: `Not the post ${post.key}.` }, again);
  }

  async #send(post: Post, again?: 'same' | 'other'): Promise<Answer> {
    const { key, form } = post;
    this.ledger.write({ at: Date.now(), key, answer: 'sent', form, ...(again && { again }) });
    const { status, ...more } = await this.#ask(post);
    // The visitor has seen it before the ledger, as a visitor who is lost right then has.
    this.ledger.write({ at: Date.now(), key, answer: status, ...more, ...(again && { again }) });
    if (status !== 'none' && status >= 500) this.refused += 1;
    if (status === 201 && !again) {
      this.acknowledged += 1;
      this.lastAt = Date.now();
    }
    return { status, ...more };
  }

  #ask({ key, form, ip, email, message }: Post): Promise<Answer> {
    const { urls, canary } = this.#options;
    const url = urls[this.#tries++ % urls.length] ?? '';
    const body = JSON.stringify({ name: `Ada ${canary}`, email, message });
    return new Promise((resolve) => {
      const outgoing = request(`${url}/api/forms/${form}/messages`, {
        method: 'POST',
        agent: this.#agent,
        timeout: patienceMs,
        headers: {
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(body),
          'Idempotency-Key': key,
          'X-Forwarded-For': ip,
        },
      });
      const late = setTimeout(() => outgoing.destroy(), patienceMs);
      const end = (answer: Answer) => {
        clearTimeout(late);
        resolve(answer);
      };
      outgoing.on('timeout', () => outgoing.destroy());
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        end({ status: 'none', why: `${error.code}${outgoing.reusedSocket ? ' on a kept connection' : ''}` });
      });
      outgoing.on('response', (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('error', () => {});
        answer.on('end', () => end({ status: answer.statusCode ?? 'none', ...idIn(answer.statusCode, text) }));
        // Cut, or too late. A page has seen the status by then, and says that the message is sent: as good a promise.
        answer.on('close', () => end({ status: answer.statusCode ?? 'none', isCut: true }));
      });
      outgoing.end(body);
    });
  }
}

function idIn(status: number | undefined, text: string): { id?: string } {
  if (status !== 201) return {};
  try {
    return { id: (JSON.parse(text) as { id: string }).id };
  } catch {
    return {};
  }
}
