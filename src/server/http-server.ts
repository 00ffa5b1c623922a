import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { securityHeaders } from './http/security-headers.ts';

/** Max unanswered requests per connection. Browsers and proxies send one after the other. */
const maxUnanswered = 20;

/**
 * Everything has a timeout: slow headers, slow bodies, unread answers and idle connections are cut. Node may need twice
 * the time to notice an unread answer.
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
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuseRaw(error, socket, secure));
  return server;
}

export function answer(server: Server, listener: RequestListener, secure: boolean): void {
  server.on('request', listener);
  // `read-submission.ts` asks for the body when it reads it. A client that is refused before that may or may not send
  // its body, so no other request can follow on its connection.
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
    // The rest of a read whose connection was cut.
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

/** Answers malformed requests, which never reach the app. Node's own answer would lack our headers. */
function refuseRaw(error: NodeJS.ErrnoException, socket: Socket, secure: boolean): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? '408 Request Timeout'
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request';
  const headers = Object.entries({ ...securityHeaders(secure), Connection: 'close', 'Content-Length': '0' });
  socket.end(`HTTP/1.1 ${status}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
}

export function startListening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
