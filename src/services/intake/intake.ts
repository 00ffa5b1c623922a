import type { Context } from '../../context.ts';
import { lacksWrites } from '../../database/outage.ts';
import type { RememberedForms } from './open-forms.ts';
import { openPostMemory, type PostMemory } from './post-memory.ts';
import { oneByOne, openStoreBatches, type StoreBatches } from './store-batches.ts';
import type { Verdict } from './verdict.ts';
import { openWriteAccess, type WriteAccess } from './write-access.ts';

/** What all posts to one server share: the remembered forms, the memory for posts, and the batches that store them. */
export interface Intake extends StoreBatches {
  readonly forms: RememberedForms;
  readonly memory: PostMemory;
  readonly writes: WriteAccess;
}

export function openIntake(context: Context): Intake {
  const batches = openStoreBatches(context);
  /** Of each form with a limit, by its id. */
  const limited = new Map<string, StoreBatches>();
  const writes = openWriteAccess();

  function batchesFor({ formId, limit }: Verdict): StoreBatches {
    if (limit === undefined) return batches;
    const own = limited.get(formId) ?? openStoreBatches(context, oneByOne);
    limited.set(formId, own);
    return own;
  }

  return {
    forms: new Map(),
    memory: openPostMemory(),
    writes,
    async store(verdict) {
      try {
        const result = await batchesFor(verdict).store(verdict);
        // A repeated post writes nothing.
        if ('stored' in result && !result.repeated) writes.isDoubtful = false;
        return result;
      } catch (error) {
        if (lacksWrites(error)) writes.isDoubtful = true;
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([batches, ...limited.values()].map((it) => it[Symbol.asyncDispose]()));
    },
  };
}
