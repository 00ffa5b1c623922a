import type { Context } from '../../context.ts';
import type { RememberedForms } from './open-forms.ts';
import { openStoreBatches, type StoreBatches } from './store-batches.ts';

/** What all posts to one server share: the remembered forms, and the batches that store posts. */
export interface Intake extends StoreBatches {
  readonly forms: RememberedForms;
}

export function openIntake(context: Context): Intake {
  return { forms: new Map(), ...openStoreBatches(context) };
}
