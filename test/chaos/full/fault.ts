import type { MachinePostgres } from '../../support/machine-postgres.ts';
import { ruffinweb } from '../../support/program.ts';
import type { Facts, Violation } from './judges/oracle.ts';
import type { Recovery, World } from './world.ts';

/** What every fault gets. */
export interface Stage {
  /** Durable; the fault may restart it, and leaves it running. */
  postgres: MachinePostgres;
  seed: number;
  /** `--short`: a few cycles. */
  isShort: boolean;
}

/** A kind of failure, how to bring it about, and a row of the published table. */
export interface Fault {
  /** For `--only`, and in the table's details. */
  id: string;
  /** In plain English. */
  title: string;
  run(stage: Stage): Promise<Row>;
}

/** Who noticed while it lasted. */
export interface Noticed {
  /** `/readyz`: its status, and the check that is not ok. */
  readyz: string;
  /** `ruffinweb health`: the checks that warn or fail. */
  health: string;
  /** Titles that the receiver of alerts got. */
  alarm: string;
}

export interface Row {
  cycles: number;
  acknowledged: number;
  lost: number;
  duplicated: number;
  uncertain: number;
  /** Auto-replies that may not have arrived. */
  givenUp?: number;
  /** Undefined where nothing was down. */
  recovery: Recovery | undefined;
  /** Undefined where there is nothing to notice, such as a kill after which the process is back at once. */
  noticed: Noticed | undefined;
  violations: Violation[];
  /** A sentence for the table's notes, with what was counted besides. */
  note?: string;
}

/** Ends a fault: lets all mail leave, compares, and makes its row. */
export async function rowOf(
  world: World,
  cycles: number,
  more: Partial<Row> = {},
  adjust?: (facts: Facts) => Facts,
): Promise<Row> {
  const verdict = await world.finish(adjust);
  const { servedS, mailS } = world.recovery;
  return {
    cycles,
    recovery: servedS + mailS > 0 ? world.recovery : undefined,
    noticed: undefined,
    ...verdict,
    ...more,
  };
}

/** Asks `/readyz` and `health` right now, while the fault lasts. */
export async function look(world: World, url = world.urls[0]): Promise<Noticed> {
  const readyz = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(10_000) }).then(
    async (it) => `${it.status} ${notOk(((await it.json()) as { checks: Record<string, unknown> }).checks)}`.trim(),
    () => 'no answer',
  );
  const { stdout } = await ruffinweb(['health', '--json'], world.outside.settings);
  const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; fact: string }[] };
  // Without them every world would have the same warnings, for instance about its public secrets.
  const ours = checks.filter(
    (it) => it.status !== 'ok' && !['settings', 'proxies', 'backup', 'durability'].includes(it.name),
  );
  // Without the database, nothing about the others is known.
  const away = ours.filter((it) => it.name === 'database');
  const told = (away.length > 0 ? away : ours).map((it) => `${it.name} ${it.status}`);
  return { readyz, health: told.join(', ') || 'ok', alarm: alarmOf(world) };
}

export function alarmOf(world: World): string {
  const titles = world.outside.alerts.ledger.map((it) => (JSON.parse(it.body) as { title: string }).title);
  return [...new Set(titles.map((it) => it.replace(/^\S+ /, '')))].join(', ') || 'none';
}

function notOk(checks: Record<string, unknown>): string {
  const wrong = Object.entries(checks).filter(([, it]) => typeof it === 'string' && it !== 'ok');
  return wrong.map(([name, it]) => `${name} ${it}`).join(', ');
}
