import type { Fault } from '../fault.ts';
import { clockJumps } from './clocks.ts';
import { maxConnections, slowDatabase } from './database-busy.ts';
import { connectionsEnded, databaseFrozen, databaseKilled } from './database-down.ts';
import { databaseFull } from './database-full.ts';
import { rotatedKeys } from './keys.ts';
import { killedCommands } from './killed-commands.ts';
import { killedServer } from './kills.ts';
import { lostCommit } from './lost-commit.ts';
import { tenMigrators } from './migrators.ts';
import { oldBackup } from './old-backup.ts';
import { twoReleases } from './releases.ts';
import { soak } from './soak.ts';

/** In the order of the table. */
export const faults: readonly Fault[] = [
  killedServer,
  databaseKilled,
  databaseFrozen,
  connectionsEnded,
  databaseFull,
  lostCommit,
  slowDatabase,
  maxConnections,
  tenMigrators,
  oldBackup,
  twoReleases,
  clockJumps,
  rotatedKeys,
  killedCommands,
  soak,
];
