import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { securityHeaders } from './http/security-headers.ts';

/** Max unanswered requests per connection. Browsers and proxies send one after the other. */
const maxUnanswered = 20;

/**
 * Closes connections with slow headers, slow bodies, unread answers or no requests.
 *
 * @param unreadMs Node may need twice as long to notice an unread answer.
 */
export function createHttpServer(secure: boolean, unreadMs = 60_000): Server {
  const server = createServer({
    headersTimeout: 10_000,
    requestTimeout: 20_000,
    keepAliveTimeout: 5000,
    connectionsCheckingInterval: 2000,
  });
  server.maxHeadersCount = 100;
  server.timeout = unreadMs;
  // A client that ends its sending side still wants its answer (RFC 9112 §9.6). The property is in no type and no manual.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuseRaw(error, socket, secure));
  return server;
}

export function answer(server: Server, listener: RequestListener, secure: boolean): void {
  server.on('request', listener);
  // `read-submission.ts` asks for the body when it reads it. If a client is refused before, nobody knows whether it sends
  // its body, so its connection cannot be used again.
  server.on('checkContinue', (request, response) => {
    response.setHeader('Connection', 'close');
    listener(request, response);
  });
  server.on('checkExpectation', (_request, response) => {
    response.writeHead(417, { ...securityHeaders(secure), 'Content-Length': 0 }).end();
  });
}

/**
 * HTTP pipelining: one 64 KB read can contain a thousand requests. Caps the unanswered requests per connection, so that
 * a client that never reads cannot exhaust memory.
 */
export function capUnanswered(listener: RequestListener): RequestListener {
  const unanswered = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    // A request from the same read, after its connection was closed.
    if (socket.destroyed) return;
    const count = (unanswered.get(socket) ?? 0) + 1;
    if (count > maxUnanswered) {
      socket.destroy();
      return;
    }
    unanswered.set(socket, count);
    response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    listener(request, response);
  };
}

const rawStatuses: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

/** Answers malformed requests, which never reach the app. Node's own answer would lack our headers. */
function refuseRaw(error: NodeJS.ErrnoException, socket: Socket, secure: boolean): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = rawStatuses[error.code ?? ''] ?? '400 Bad Request';
  const headers = Object.entries({ ...securityHeaders(secure), Connection: 'close', 'Content-Length': '0' });
  socket.end(`HTTP/1.1 ${status}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
}

/** The address or port in the settings cannot be listened on. */
export class CannotListen extends Error {
  override readonly name = 'CannotListen';
}

/** @throws {CannotListen} */
export async function startListening(server: Server, port: number, host: string): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new CannotListen(explainListen(error as NodeJS.ErrnoException, port, host), { cause: error });
  }
}

function explainListen({ code, message }: NodeJS.ErrnoException, port: number, host: string): string {
  if (code === 'EADDRINUSE') return `port ${port} is taken: stop the program that listens there, or set PORT`;
  if (code === 'EACCES') return `cannot listen on port ${port} (${message}): set PORT to 1024 or more`;
  return `cannot listen on ${host} (${message}): set HOST to 0.0.0.0, or to an address of this machine`;
}
