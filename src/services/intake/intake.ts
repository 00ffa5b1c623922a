import type { Context } from '../../context.ts';
import { lacksWrites } from '../../database/outage.ts';
import type { RememberedForms } from './open-forms.ts';
import { openPostMemory, type PostMemory } from './post-memory.ts';
import { openStoreBatches, type StoreBatches } from './store-batches.ts';
import { openWriteAccess, type WriteAccess } from './write-access.ts';

/** What all posts to one server share: the remembered forms, the memory for posts, and the batches that store them. */
export interface Intake extends StoreBatches {
  readonly forms: RememberedForms;
  readonly memory: PostMemory;
  readonly writes: WriteAccess;
}

export function openIntake(context: Context): Intake {
  const batches = openStoreBatches(context);
  const writes = openWriteAccess();
  return {
    forms: new Map(),
    memory: openPostMemory(),
    writes,
    async store(verdict) {
      try {
        const result = await batches.store(verdict);
        // A repeated post writes nothing.
        if ('stored' in result && !result.repeated) writes.isDoubtful = false;
        return result;
      } catch (error) {
        if (lacksWrites(error)) writes.isDoubtful = true;
        throw error;
      }
    },
    [Symbol.asyncDispose]: () => batches[Symbol.asyncDispose](),
  };
}
