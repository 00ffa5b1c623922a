import type { Context } from '../../context.ts';
import type { RememberedForms } from './open-forms.ts';
import { openPostMemory, type PostMemory } from './post-memory.ts';
import { openStoreBatches, type StoreBatches } from './store-batches.ts';

/** What all posts to one server share: the remembered forms, the memory for posts, and the batches that store them. */
export interface Intake extends StoreBatches {
  readonly forms: RememberedForms;
  readonly memory: PostMemory;
}

export function openIntake(context: Context): Intake {
  return { forms: new Map(), memory: openPostMemory(), ...openStoreBatches(context) };
}
