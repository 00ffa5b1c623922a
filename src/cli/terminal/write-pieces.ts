import type { Deps } from './deps.ts';

/**
 * Writes to stdout no faster than it is read, so that no more than one piece is in memory. Ends early, between two
 * pieces, where `stop` is aborted or nobody reads any more.
 */
export async function writePieces(
  deps: Pick<Deps, 'stdout'>,
  pieces: AsyncIterable<string>,
  stop: AbortSignal,
): Promise<void> {
  for await (const piece of pieces) {
    if (stop.aborted || !(await write(deps.stdout, piece))) return;
  }
}

/** What kept it from being written, `main.ts` hears as well and tells where it is a fault. */
function write(stream: Deps['stdout'], piece: string): Promise<boolean> {
  return new Promise((resolve) => stream.write(piece, (error) => resolve(error == null)));
}
