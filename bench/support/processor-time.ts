import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';

/** Linux counts processor time in ticks of 10 ms on every platform that Node supports. */
const tickMs = 10;

/** Processor time so far of a process and its children, running or ended, in milliseconds. */
export function processorMs(pid: number): number {
  const children = runningPids()
    .map(readTimes)
    .filter((times) => times?.parent === pid);
  const own = readTimes(pid);
  if (own === undefined) throw new Error(`process ${pid} has ended`);
  const ticks = own.ticks + own.endedChildrenTicks + children.reduce((sum, child) => sum + (child?.ticks ?? 0), 0);
  return ticks * tickMs;
}

/** The main process of a PostgreSQL server on this machine: the parent of each connection's process. */
export async function findPostmaster(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const backend = readTimes(rows[0]?.pid ?? 0);
    if (backend === undefined) throw new Error('PostgreSQL does not run on this machine');
    return backend.parent;
  } finally {
    await client.end();
  }
}

function runningPids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

/** Fields 4 and 14 to 17 of `proc_pid_stat(5)`; undefined if the process has ended. */
function readTimes(pid: number): { parent: number; ticks: number; endedChildrenTicks: number } | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // A program's name may contain spaces and parentheses, so count from the last parenthesis: field 3 comes first.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields.slice(11, 15).map(Number);
  return { parent: Number(fields[1]), ticks: user + system, endedChildrenTicks: childrenUser + childrenSystem };
}
