import type { Fault } from '../fault.ts';
import { clockJumps } from './clocks.ts';
import { rotatedKeys } from './keys.ts';
import { killedCommands } from './killed-commands.ts';
import { killedServer } from './kills.ts';
import { twoReleases } from './releases.ts';
import { soak } from './soak.ts';

/** In the order of the table. */
export const faults: readonly Fault[] = [killedServer, twoReleases, clockJumps, rotatedKeys, killedCommands, soak];
