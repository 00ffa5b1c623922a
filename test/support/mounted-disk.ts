import { spawnSync } from 'node:child_process';

/** A disk of its own with a little more than 1 GiB; undefined if this account may mount none. */
export function mountDisk(path: string): Disposable | undefined {
  const run = (...args: string[]) => [[], ['sudo', '-n']].some((it) => succeeds([...it, ...args]));
  if (!run('mount', '-t', 'tmpfs', '-o', 'size=1100m,mode=777', 'tmpfs', path)) return undefined;
  return { [Symbol.dispose]: () => void run('umount', path) };
}

function succeeds([program = '', ...args]: string[]): boolean {
  return spawnSync(program, args).status === 0;
}
