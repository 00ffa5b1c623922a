import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

/** Sends these bytes over a connection of their own and returns everything received until the server closes it. */
export async function exchange(url: string, bytes: string | Buffer): Promise<string> {
  const socket = await dial(url);
  socket.write(bytes);
  return await text(socket);
}

export async function dial(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** A raw HTTP request; adds `Host` unless given. */
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
