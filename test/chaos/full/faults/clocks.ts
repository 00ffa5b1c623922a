import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { MachinePostgres } from '../../../support/machine-postgres.ts';
import { temporaryFolder } from '../../../support/program.ts';
import { type Fault, look, type Noticed, type Row, rowOf } from '../fault.ts';
import { World } from '../world.ts';

const library = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketimeMT.so.1`;

/** A clock that can be set while programs run by it; durations stay real. */
class Clock {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.set(0);
  }

  /** @param seconds ahead of the machine's clock. */
  set(seconds: number): void {
    const offset = Math.round(seconds);
    writeFileSync(`${this.#path}.new`, `${offset < 0 ? offset : `+${offset}`}\n`);
    renameSync(`${this.#path}.new`, this.#path);
  }

  /** Starts a program by this clock. */
  get under(): readonly string[] {
    const settings = { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: this.#path };
    const constant = { FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_DISABLE_SHM: '1' };
    return ['env', ...Object.entries({ ...settings, ...constant }).map(([name, value]) => `${name}=${value}`)];
  }
}

const [hour, day] = [3600, 86_400];
const untilYear = (year: number) => (Date.UTC(year, 0, 1) - Date.now()) / 1000;
const jumps = () => [hour, -hour, 30 * day, -30 * day, untilYear(1971), untilYear(2039)];

const notCounted: Row = {
  ...{ cycles: 0, acknowledged: 0, lost: 0, duplicated: 0, uncertain: 0, violations: [] },
  ...{ recovery: undefined, noticed: undefined },
  note: `not run, since libfaketime is missing (${library}, of the package \`faketime\`).`,
};

/** Clocks of the server, the worker, the database and of all of them jump under load, and jump back. */
export const clockJumps: Fault = {
  id: 'clock-jumps',
  title: 'clocks of server, worker and database jump: an hour, 30 days, to 1971 and to 2039, and back',
  async run({ seed, isShort }) {
    if (!existsSync(library)) return notCounted;
    await using folder = await temporaryFolder();
    const [server, worker, database] = ['server', 'worker', 'database'].map((it) => new Clock(join(folder.path, it)));
    if (!server || !worker || !database) throw new Error('unreachable');
    await using postgres = await MachinePostgres.open('', database.under);
    // A key is remembered for a day by the database's clock, so a repeat across a jump is rightly a new post.
    await using world = await World.open({ postgres, seed, rate: 120, repeats: false });
    world.clocksJumped = true;
    world.startServer(0, { under: server.under });
    world.startWorker(0, { under: worker.under });
    await world.recovers();
    const clocks: Record<string, Clock[]> = { server: [server], worker: [worker], database: [database] };
    clocks.all = [server, worker, database];
    const all = jumps().flatMap((seconds) => Object.values(clocks).map((of) => ({ of, seconds })));
    // In full every other one, so that each clock meets half of the jumps.
    const chosen = all.filter((_, index) => (isShort ? index % 8 === 7 : (index + (index >> 2)) % 2 === 0));
    let noticed: Noticed | undefined;
    for (const { of, seconds } of chosen) {
      for (const it of of) it.set(seconds);
      await world.acknowledges(100 + Math.floor(world.random() * 200));
      await world.sends(50);
      if (of[0] === database && seconds === hour) noticed = await look(world);
      for (const it of of) it.set(0);
      await world.recovers();
      await pause(200);
    }
    const row = await rowOf(world, chosen.length * 2, { noticed });
    const late = await world.query(`select from emails where failure = 'too-late'`);
    return { ...row, note: `${late.length} auto-replies that waited during a jump ahead were cancelled as too late.` };
  },
};
