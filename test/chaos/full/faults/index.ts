import type { Fault } from '../fault.ts';
import { clockJumps } from './clocks.ts';
import { maxConnections, slowDatabase } from './database/database-busy.ts';
import { connectionsEnded, databaseFrozen, databaseKilled } from './database/database-down.ts';
import { databaseFull } from './database/database-full.ts';
import { lostCommit } from './database/lost-commit.ts';
import { mailOutage } from './mail-outage.ts';
import { rotatedKeys } from './operator/keys.ts';
import { killedCommands } from './operator/killed-commands.ts';
import { tenMigrators } from './operator/migrators.ts';
import { oldBackup } from './operator/old-backup.ts';
import { twoReleases } from './operator/releases.ts';
import { killedAllInOne, stoppedAllInOne } from './processes/all-in-one.ts';
import { frozenWorker } from './processes/frozen-worker.ts';
import { killedHookWorker } from './processes/killed-hook-worker.ts';
import { killedWorker } from './processes/killed-worker.ts';
import { killedServer } from './processes/kills.ts';
import { logUnwritable } from './processes/log-unwritable.ts';
import { fewDescriptors, smallHeap } from './processes/short-of.ts';
import { soak } from './soak.ts';

/** In the order of the table. */
export const faults: readonly Fault[] = [
  ...[killedServer, killedWorker, killedHookWorker, killedAllInOne, stoppedAllInOne, frozenWorker],
  ...[fewDescriptors, smallHeap, logUnwritable, mailOutage],
  ...[databaseKilled, databaseFrozen, connectionsEnded, databaseFull, lostCommit, slowDatabase, maxConnections],
  ...[tenMigrators, oldBackup, twoReleases, clockJumps, rotatedKeys, killedCommands, soak],
];
