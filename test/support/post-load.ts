import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { submission } from './api.ts';
import { until } from './until.ts';

/** A post that was answered 201. */
export interface Acknowledged {
  receipt: string;
  email: string;
  message: string;
}

/** A visitor's pause between two posts, so that the amount of mail in a long test can be predicted. */
const betweenPostsMs = 15;

/**
 * Visitors who post one message after another, each from their own address and on a separate connection, as a proxy
 * opens them. Nothing is retried: a response other than 201, or none, is a failed post.
 */
export class PostLoad implements AsyncDisposable {
  readonly acknowledged: Acknowledged[] = [];
  readonly failures: string[] = [];
  #urls: readonly string[] = [];
  #sent = 0;
  #stopped = false;
  readonly #visitors: Promise<void>[];

  constructor(urls: readonly string[], visitors = 4) {
    this.#urls = urls;
    this.#visitors = Array.from({ length: visitors }, () => this.#visit());
  }

  /** From now on posts go to these servers in turn; posts in flight end where they are. */
  sendTo(...urls: string[]): void {
    this.#urls = urls;
  }

  /** Waits until this many more posts were answered. */
  async goesOn(count = 60): Promise<void> {
    const goal = this.acknowledged.length + count;
    await until(
      `${count} more posts are answered`,
      () => this.acknowledged.length >= goal || this.failures.length > 0,
      120_000,
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#visitors);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #visit(): Promise<void> {
    while (!this.#stopped) {
      const url = this.#urls[this.#sent++ % this.#urls.length] ?? '';
      const email = `visitor-${randomUUID()}@example.test`;
      const message = `Hello from ${email}`;
      try {
        const answer = await post(`${url}/api/messages`, submission({ email, message }));
        if (answer.status === 201) {
          const { receipt } = JSON.parse(answer.text) as { receipt: string };
          this.acknowledged.push({ receipt, email, message });
        } else this.failures.push(`${url}: ${answer.status} ${answer.text}`);
      } catch (error) {
        this.failures.push(`${url}: ${String(error)}`);
      }
      await pause(betweenPostsMs);
    }
  }
}

/** On a connection that is used for nothing else; `fetch` reuses its own. */
function post(url: string, body: unknown): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method: 'POST',
      agent: false,
      timeout: 20_000,
      headers: { 'Content-Type': 'application/json' },
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 20 s')));
    outgoing.on('error', reject);
    outgoing.on('response', (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }));
    });
    outgoing.end(JSON.stringify(body));
  });
}
