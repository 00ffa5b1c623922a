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

/** How long a visitor takes between two posts: a pace, so that the mail of a long test can be counted. */
const betweenPostsMs = 15;

/**
 * Visitors who post one message after another, each from an address of its own and on a connection of its own, as a
 * proxy makes them. Nothing is tried twice: one answer that is not 201, or none, is a failed post.
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

  /** From now on posts go to these servers in turn; those under way end where they are. */
  sendTo(...urls: string[]): void {
    this.#urls = urls;
  }

  /** Waits until so many more posts were answered. */
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

/** On a connection that is used for nothing else; `fetch` keeps its own for the next request. */
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
