import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { securityHeaders } from './http/security-headers.ts';

/** Answers that one connection may wait for. Browsers and proxies ask for one after the other; a few at once do no harm. */
const mostUnanswered = 20;

/**
 * Every wait has an end: slow headers, slow bodies, unread answers and idle connections cost a client its connection. Of
 * an unread answer Node may take twice the time to see that nothing moves.
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
  // Answered like any other; the body is asked for where it is read (`read-submission.ts`), and a client that was
  // refused before may or may not send it, so that nothing can follow on its connection.
  server.on('checkContinue', (request, response) => {
    response.setHeader('Connection', 'close');
    listener(request, response);
  });
  server.on('checkExpectation', (_request, response) => {
    response.writeHead(417, { ...securityHeaders(secure), 'Content-Length': 0 }).end();
  });
}

/**
 * Node hands on every request that stands in what it has read of a connection, before any of them is answered: a
 * thousand in 64 KB, each of which takes memory until a client that need not read has read the answer.
 */
export function withoutCrowds(listener: RequestListener): RequestListener {
  const unanswered = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    // What else stood in it is nobody's any more.
    if (socket.destroyed) return;
    const count = (unanswered.get(socket) ?? 0) + 1;
    if (count > mostUnanswered) {
      socket.destroy();
      return;
    }
    unanswered.set(socket, count);
    response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    listener(request, response);
  };
}

/** A request that is none never reaches the app; what Node would answer by itself lacks our headers. */
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
