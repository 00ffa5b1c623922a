import type { Deps } from './deps.ts';

/**
 * Writes to stdout no faster than it is read, so that only one piece is in memory. Stops between two pieces if `stop`
 * is aborted or the reader has gone.
 */
export async function writePieces(
  deps: Pick<Deps, 'stdout'>,
  pieces: AsyncIterable<string>,
  stop?: AbortSignal,
): Promise<void> {
  for await (const piece of pieces) {
    if (stop?.aborted || !(await writePiece(deps.stdout, piece))) return;
  }
}

/** Resolves to false if writing failed; `main.ts` reports the error. */
export function writePiece(stream: Deps['stdout'], piece: string): Promise<boolean> {
  return new Promise((resolve) => stream.write(piece, (error) => resolve(error == null)));
}
