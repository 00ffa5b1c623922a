/** A server's response with its body read. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // Untyped: each test checks the parts it needs.
  // biome-ignore lint/suspicious/noExplicitAny: answers have many shapes
  json: any;
}

export interface Client {
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  /** Posts a JSON body. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Posts a body unchanged. */
  send(path: string, init: RequestInit): Promise<Answer>;
}

/** The Accept header a browser sends when it opens a page. */
export const browserAccept = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8';

/** A client of the server at `url` that follows no redirects. */
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

/** A submission that every form accepts. */
export function submission(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { name: 'Ada Lovelace', email: 'ada@example.test', message: 'Hello there', ...changes };
}
