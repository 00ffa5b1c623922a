import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import querystring from 'node:querystring';
import { isTlsError } from '../network/tls-error.ts';
import { plainLine } from '../plain-line.ts';
import { findAddresses } from './find-addresses.ts';
import type { HookOutcome, HookRequest, HookSender } from './hook-sender.ts';
import { bareHost, explainNotAllowed } from './hook-url.ts';

/** Each request has its own connection, to the addresses that were checked for it. */
export function createHookSender(
  { allowHosts }: { allowHosts: readonly string[] },
  { deadlineMs = 20_000, resolve = (host: string) => findAddresses(host, allowHosts) } = {},
): HookSender {
  return {
    async send(request, { signal } = {}) {
      const deadline = AbortSignal.timeout(deadlineMs);
      const stop = AbortSignal.any(signal ? [deadline, signal] : [deadline]);
      try {
        stop.throwIfAborted();
        const url = new URL(request.url);
        // A lookup cannot be stopped, but nobody waits for it.
        const addresses: LookupAddress[] = await Promise.race([resolve(bareHost(url.hostname)), once(stop, 'abort')]);
        stop.throwIfAborted();
        const fault = explainNotAllowed(url, allowHosts, addresses);
        return fault === null ? await post(url, request, addresses, stop) : { result: 'away', reply: fault };
      } catch (error) {
        if (deadline.aborted) return { result: 'away', reply: `No answer within ${deadlineMs / 1000} seconds.` };
        return { result: 'away', reply: stop.aborted ? 'Stopped before the answer came.' : explainError(error) };
      }
    },
  };
}

async function post(url: URL, sent: HookRequest, to: LookupAddress[], signal: AbortSignal): Promise<HookOutcome> {
  const options: RequestOptions & { autoSelectFamily: boolean } = {
    method: 'POST',
    headers: { ...sent.headers, 'User-Agent': 'ruffinweb', 'Content-Length': Buffer.byteLength(sent.body) },
    agent: false,
    lookup: (_host, _options, done) => done(null, to),
    // Node then wants all addresses, not one.
    autoSelectFamily: true,
    // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    rejectUnauthorized: true,
    signal,
  };
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options);
  // An abort raises a second error, after the one below.
  request.on('error', () => {});
  // Otherwise an answer of 101 would not count as one.
  request.on('upgrade', (response, socket) => {
    socket.destroy();
    request.emit('response', response);
  });
  const answered = once(request, 'response', { signal });
  request.end(sent.body);
  const [response] = (await answered) as [IncomingMessage];
  const { statusCode: code = 0, headers } = response;
  if (code < 100) {
    response.destroy();
    throw Object.assign(new Error(), { code: 'HPE_STATUS' });
  }
  const reply = withoutAddress(plainLine(await readStart(response)), new URL(sent.address ?? url));
  if (code >= 200 && code < 300) return { result: 'accepted', code, reply };
  if (code === 410) return { result: 'refused', code, reply };
  const waitMs = code === 429 || code === 503 ? readRetryAfter(headers['retry-after']) : 0;
  return { result: 'later', code, reply, ...(waitMs > 0 && { retryAfterMs: waitMs }) };
}

/** Reads at most 4 kB, then drops the connection. The status counts, however the body ends. */
async function readStart(response: IncomingMessage): Promise<string> {
  let start = Buffer.alloc(0);
  try {
    for await (const chunk of response) {
      start = Buffer.concat([start, chunk as Buffer]);
      if (start.length >= 4096) break;
    }
  } catch {}
  return new TextDecoder().decode(start.subarray(0, 4096), { stream: true });
}

/** Error pages often repeat the path, and that may be a secret. */
function withoutAddress(text: string, { href, host, pathname, search }: URL): string {
  const words = `${pathname}${search}`.split(/[/?&=]/);
  const parts = [href, pathname + search, pathname, search, host, ...words];
  // The longest first: a part may begin with a shorter one. Short ones are words such as `true`.
  const secrets = withUnescaped(parts)
    .filter((it) => it.length > 4)
    .sort((a, b) => b.length - a.length);
  const shown = withUnescaped(words).reduce(withoutStart, text);
  return secrets.reduce((rest, part) => rest.replaceAll(part, '…'), shown);
}

function withUnescaped(parts: string[]): string[] {
  return parts.flatMap((it) => [it, querystring.unescape(it)]);
}

/** An answer that is too long, or was cut off, may end in the middle of a secret. Fewer than 8 characters tell little. */
function withoutStart(text: string, secret: string): string {
  for (let length = secret.length - 1; length >= 8; length--)
    if (text.endsWith(secret.slice(0, length))) return `${text.slice(0, -length)}…`;
  return text;
}

function readRetryAfter(header = ''): number {
  const waitMs = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Math.min(waitMs, 86_400_000);
}

/** Texts of errors contain host and address, so only their codes are used. */
function explainError(error: unknown): string {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException;
  if (code === 'ENOTFOUND') return 'The host does not exist.';
  if (/^(EAI_AGAIN|ESERVFAIL|ETIMEOUT)$/.test(code)) return 'No name server answers for the host.';
  if (code === 'ECONNREFUSED') return 'The host refuses connections.';
  if (code === 'ECONNRESET') return 'The connection was cut before an answer came.';
  if (code.startsWith('HPE_')) return 'The answer is not HTTP.';
  return `${isTlsError(code) ? 'The certificate is not valid, or TLS failed' : 'The request failed'} (${code}).`;
}
