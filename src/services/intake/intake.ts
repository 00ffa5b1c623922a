import type { Context } from '../../context.ts';
import type { RememberedForms } from './open-forms.ts';
import { type BatchLimits, openStoreBatches, type StoreBatches } from './store-batches.ts';

/** What all posts to one server share: the forms they came for, and the batches they are stored in. */
export interface Intake extends StoreBatches {
  readonly forms: RememberedForms;
}

export function openIntake(context: Context, limits?: BatchLimits): Intake {
  return { forms: new Map(), ...openStoreBatches(context, limits) };
}
