import type { Fault } from '../fault.ts';
import { killedServer } from './kills.ts';

/** In the order of the table. */
export const faults: readonly Fault[] = [killedServer];
