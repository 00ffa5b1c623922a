import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

/** Sends these bytes over a connection of their own and returns all that comes back until the server ends it. */
export async function exchange(url: string, bytes: string | Buffer): Promise<string> {
  const socket = await dial(url);
  // Half a close would make the server give up what it has not answered yet.
  socket.write(bytes);
  return await text(socket);
}

export async function dial(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** A request as it goes over the wire; `Host` is there unless given. */
export function rawPost(
  path: string,
  body: string,
  headers: Record<string, string> = {},
  options: { lastOnConnection?: boolean } = {},
): string {
  const all = {
    Host: 'localhost',
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    ...(options.lastOnConnection && { Connection: 'close' }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}
