import { getHeapStatistics } from 'node:v8';
import { TooSlow } from '../../database/outage.ts';

/** Bytes of heap for each byte of a body: it is there as text, as values and as content, perhaps in wide characters. */
const heapPerByte = 8;

/** Counted for each post besides its body, in bytes: connection, request and answer. */
const bytesPerPost = 16 * 1024;

/**
 * Refuses posts that would not fit into memory beside those without an answer. Near V8's limit, collecting garbage stops
 * everything, and then the process ends.
 */
export interface PostMemory {
  /** Takes room until it is disposed. @throws {TooSlow} */
  take(bodyBytes: number): Disposable;
}

export function openPostMemory(): PostMemory {
  const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
  let free = (limit - used) / heapPerByte;
  return {
    take(bodyBytes) {
      const needed = bodyBytes + bytesPerPost;
      if (needed > free) throw new TooSlow('the posts that wait for the database fill the memory');
      free -= needed;
      return {
        [Symbol.dispose]() {
          free += needed;
        },
      };
    },
  };
}
