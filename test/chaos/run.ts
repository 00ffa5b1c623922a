import { spawnSync } from 'node:child_process';

/** `npm run test:chaos` runs the given test command; with `--full` every fault instead. */
const args = process.argv.slice(2);
const [command = '', ...rest] = args.includes('--full')
  ? [process.execPath, 'test/chaos/full/main.ts', ...args.slice(args.indexOf('--full'))]
  : args;
process.exitCode = spawnSync(command, rest, { stdio: 'inherit' }).status ?? 1;
