import type { Fault } from '../fault.ts';
import { killedAllInOne, stoppedAllInOne } from './all-in-one.ts';
import { clockJumps } from './clocks.ts';
import { maxConnections, slowDatabase } from './database-busy.ts';
import { connectionsEnded, databaseFrozen, databaseKilled } from './database-down.ts';
import { databaseFull } from './database-full.ts';
import { frozenWorker } from './frozen-worker.ts';
import { rotatedKeys } from './keys.ts';
import { killedCommands } from './killed-commands.ts';
import { killedHookWorker } from './killed-hook-worker.ts';
import { killedWorker } from './killed-worker.ts';
import { killedServer } from './kills.ts';
import { logUnwritable } from './log-unwritable.ts';
import { lostCommit } from './lost-commit.ts';
import { mailOutage } from './mail-outage.ts';
import { tenMigrators } from './migrators.ts';
import { oldBackup } from './old-backup.ts';
import { twoReleases } from './releases.ts';
import { fewDescriptors, smallHeap } from './short-of.ts';
import { soak } from './soak.ts';

/** In the order of the table. */
export const faults: readonly Fault[] = [
  ...[killedServer, killedWorker, killedHookWorker, killedAllInOne, stoppedAllInOne, frozenWorker],
  ...[fewDescriptors, smallHeap, logUnwritable, mailOutage],
  ...[databaseKilled, databaseFrozen, connectionsEnded, databaseFull, lostCommit, slowDatabase, maxConnections],
  ...[tenMigrators, oldBackup, twoReleases, clockJumps, rotatedKeys, killedCommands, soak],
];
