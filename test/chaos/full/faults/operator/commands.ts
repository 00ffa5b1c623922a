import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { programPath } from '../../../../support/built-program.ts';
import { type Finished, ruffinweb, testSettings } from '../../../../support/program.ts';
import type { World } from '../../world.ts';

/** Runs a command of the world's installation, and kills it (kill -9) after this long. @returns whether it was still running. */
export async function killedAfter(world: World, ms: number, args: readonly string[]): Promise<boolean> {
  const child = spawn(process.execPath, [programPath(), ...args], {
    stdio: 'ignore',
    cwd: tmpdir(),
    env: environment(world),
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_, signal) => resolve(signal)));
  await Promise.race([pause(ms), ended]);
  child.kill('SIGKILL');
  return (await ended) === 'SIGKILL';
}

/** Runs a command whose reader takes some lines and goes, as `head` does. @returns what it says on stderr. */
export async function untilHead(world: World, args: readonly string[], bytes: number): Promise<string> {
  const child = spawn(process.execPath, [programPath(), ...args], { cwd: tmpdir(), env: environment(world) });
  let [read, said] = [0, ''];
  child.stdout.on('data', (chunk: Buffer) => {
    read += chunk.length;
    if (read >= bytes) child.stdout.destroy();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said += String(chunk);
  });
  await new Promise((resolve) => child.on('close', resolve));
  return said;
}

/** Runs a command to its end, which must be a success; again if it says that mail is being sent right now. */
export async function succeeds(world: World, args: readonly string[], tries = 20): Promise<Finished> {
  const done = await ruffinweb(args, world.outside.settings);
  if (done.code !== 0 && tries > 0 && /try again/.test(done.stderr + done.stdout)) {
    await pause(200);
    return await succeeds(world, args, tries - 1);
  }
  if (done.code !== 0) world.ended.push(`${args.join(' ')} ended with ${done.code}: ${done.stderr}${done.stdout}`);
  return done;
}

function environment(world: World): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME, TZ: 'UTC', ...testSettings, ...world.outside.settings };
}
