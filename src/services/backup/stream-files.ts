import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Content } from './manifest.ts';

export interface Copying {
  /** Aborts the copy. */
  stop: AbortSignal;
  /** Called with the length of each piece. */
  onBytes?: (bytes: number) => void;
}

/** Sends a stream to another one, in constant memory. @returns its length and hash. */
export async function copyHashed(source: Readable, target: Writable, { stop, onBytes }: Copying): Promise<Content> {
  const hash = createHash('sha256');
  let bytes = 0;
  const observe = async function* (pieces: AsyncIterable<Buffer>) {
    for await (const piece of pieces) {
      hash.update(piece);
      bytes += piece.length;
      onBytes?.(piece.length);
      yield piece;
    }
  };
  await pipeline(source, observe, target, { signal: stop });
  return { bytes, sha256: hash.digest('hex') };
}

/** A new file that only its owner can read, on the disk when the stream finishes. */
export function writeFileStream(path: string): Writable {
  return createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true });
}

/** Large pieces: a table has many rows. */
export function readFileStream(path: string): Readable {
  return createReadStream(path, { highWaterMark: 256 * 1024 });
}
