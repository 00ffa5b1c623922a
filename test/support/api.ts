/** An answer of the server, its body read. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // What a test expects to find in it, it checks itself.
  // biome-ignore lint/suspicious/noExplicitAny: answers have many shapes
  json: any;
}

export interface Client {
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  /** Posts a JSON body. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Posts a body as it stands. */
  send(path: string, init: RequestInit): Promise<Answer>;
}

/** What a browser says that it takes when it goes to a page. */
export const browserAccept = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8';

/** A client of the server at `url`; it follows no redirect. */
export function clientOf(url: string): Client {
  async function send(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(url + path, { redirect: 'manual', ...init });
    const text = await response.text();
    const isJson = /json\b/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson && text !== '' ? JSON.parse(text) : undefined,
    };
  }
  return {
    get: (path, headers = {}) => send(path, { headers }),
    post: (path, body, headers = {}) =>
      send(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    send,
  };
}

/** A submission that every form takes. */
export function submission(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { name: 'Ada Lovelace', email: 'ada@example.test', message: 'Hello there', ...changes };
}
