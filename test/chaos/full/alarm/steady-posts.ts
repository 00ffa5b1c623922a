import { clientOf, submission } from '../../../support/api.ts';

/** A post that was answered 201. */
interface Acknowledged {
  /** Of this visitor alone. */
  email: string;
  receipt: string;
  at: number;
}

/** One post a second, to each server in turn, whether the last one was answered or not. */
export class SteadyPosts implements Disposable {
  /** Written down when the answer has arrived. */
  readonly acknowledged: Acknowledged[] = [];
  urls: readonly string[] = [];
  #sent = 0;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #timer = setInterval(() => {
    const post = this.#post().finally(() => this.#inFlight.delete(post));
    this.#inFlight.add(post);
  }, 1000);

  /** Sends no more, and waits for the answers. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#inFlight);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #post(): Promise<void> {
    const number = this.#sent++;
    const url = this.urls[number % this.urls.length];
    if (url === undefined) return;
    const email = `visitor-${number}@example.test`;
    try {
      const { status, json } = await clientOf(url).post('/api/messages', submission({ email }));
      if (status === 201) this.acknowledged.push({ email, receipt: json.receipt, at: Date.now() });
    } catch {
      // The server is stopping. Nothing was acknowledged.
    }
  }
}
