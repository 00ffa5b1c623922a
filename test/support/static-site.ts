import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Somebody's website: a few pages on their own port, and so on another origin than the server's. */
export async function openSite(
  pages: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request, response) => {
    const html = pages[new URL(request.url ?? '/', 'http://site').pathname];
    response.writeHead(html === undefined ? 404 : 200, { 'Content-Type': 'text/html; charset=utf-8', ...headers });
    response.end(html);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A page of such a site, with a form for the server at `url` in it. */
export function contactPage(url: string, options: { form?: string; fields?: string } = {}): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Contact</title>
<form method="post" action="${url}/api/messages" data-ruffinweb ${options.form ?? ''}>
<label>E-mail <input name="email" type="email" required></label>
<label>Message <textarea name="message" required></textarea></label>
${options.fields ?? ''}
<button>Send</button>
</form>
<script src="${url}/form.js" defer></script></html>`;
}
