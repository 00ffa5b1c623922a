import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { securityHeaders } from './http/security-headers.ts';

/** Max unanswered requests per connection. Browsers and proxies send one after the other. */
const maxUnanswered = 20;

/**
 * Closes connections with slow headers, slow bodies, unread answers or no requests.
 *
 * @param unreadMs Node may need twice as long to notice an unread answer.
 */
export function createHttpServer(unreadMs = 60_000): Server {
  const server = createServer({
    headersTimeout: 10_000,
    requestTimeout: 20_000,
    keepAliveTimeout: 5000,
    connectionsCheckingInterval: 2000,
    // `answer` does, with our headers.
    requireHostHeader: false,
  });
  server.maxHeadersCount = 100;
  server.timeout = unreadMs;
  // A client that ends its sending side still wants its answer (RFC 9112 §9.6). The property is in no type and no manual.
  Object.assign(server, { httpAllowHalfOpen: true });
  return server;
}

/** What one connection has sent. */
interface Received {
  unanswered: Set<ServerResponse>;
  /** No further request is taken from it. */
  isOver: boolean;
  isRefused: boolean;
}

/**
 * Answers the requests of each connection in their order, also where one is malformed or refuses to go on.
 *
 * HTTP pipelining: one 64 KB read can contain a thousand requests. A connection with too many unanswered ones is closed, so
 * that a client that never reads cannot exhaust memory.
 */
export function answer(server: Server, listener: RequestListener, secure: boolean): void {
  const connections = new WeakMap<Socket, Received>();
  const receivedOn = (socket: Socket): Received => {
    const received = connections.get(socket) ?? { unanswered: new Set(), isOver: false, isRefused: false };
    connections.set(socket, received);
    return received;
  };
  const refusal = { ...securityHeaders(secure), 'Content-Length': '0' };
  const take =
    (respond: RequestListener): RequestListener =>
    (request, response) => {
      const { socket } = request;
      const received = receivedOn(socket);
      // A request from the same read, after its connection was closed.
      if (socket.destroyed || received.isOver) return;
      if (received.unanswered.size >= maxUnanswered) {
        socket.destroy();
        return;
      }
      received.unanswered.add(response);
      response.once('close', () => received.unanswered.delete(response));
      const malformed = isMalformed(request);
      received.isOver = malformed || isLast(request);
      if (received.isOver) response.setHeader('Connection', 'close');
      if (malformed) response.writeHead(400, refusal).end();
      else respond(request, response);
    };
  server.on('request', take(listener));
  server.on('checkContinue', take(listener));
  server.on(
    'checkExpectation',
    take((_request, response) => response.writeHead(417, refusal).end()),
  );
  // Malformed requests, which never reach the app. Node's own answer would lack our headers.
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else refuseRaw(socket, receivedOn(socket), rawStatuses[error.code ?? ''] ?? '400 Bad Request', refusal);
  });
  // Node lets go of the socket.
  server.on('connect', (_request, socket: Socket) => {
    socket.on('error', () => {}).once('finish', () => socket.destroy());
    refuseRaw(socket.resume(), receivedOn(socket), '400 Bad Request', refusal);
  });
}

/**
 * Whether nobody knows what the connection sends after it. A client that expects something may never send its body:
 * `read-submission.ts` asks for it when it reads it. After a request to upgrade, which we ignore, Node drops what it has read.
 */
function isLast({ headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined || headers.expect !== undefined;
}

/** Node accepts more than RFC 9112 (§2.3, §3.2, §6.1). A proxy in front may see another end of such a request. */
function isMalformed({ url = '', httpVersion, headers }: IncomingMessage): boolean {
  const coding = headers['transfer-encoding']?.toLowerCase();
  if (httpVersion === '1.0') return coding !== undefined || url.includes('#');
  return (
    httpVersion !== '1.1' || headers.host === undefined || (coding ?? 'chunked') !== 'chunked' || url.includes('#')
  );
}

const rawStatuses: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

/** Requests before it that are whole, or refused already, get their answers first. */
function refuseRaw(socket: Socket, received: Received, status: string, headers: Record<string, string>): void {
  // Node reports whatever follows, too.
  if (received.isRefused) return;
  received.isRefused = true;
  received.isOver = true;
  const before = [...received.unanswered].findLast(({ req, writableEnded }) => req.complete || writableEnded);
  const lines = Object.entries({ ...headers, Connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`);
  const refuse = () => {
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\n${lines.join('')}\r\n`);
  };
  if (before === undefined) refuse();
  else before.once('close', refuse);
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
