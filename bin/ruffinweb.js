#!/usr/bin/env node
/**
 * The launcher: checks that Node is new enough, then starts the program.
 *
 * Older Nodes (18 and 20) must be able to run this file, so that they can report what is missing instead of failing at
 * newer syntax. Everything else is imported after the check.
 */
import nodeModule, { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

// Not by `import`, which would load parts that `--help` does not need.
const load = createRequire(import.meta.url);
const { existsSync, readFileSync, realpathSync } = load('node:fs');

const manifest = readJson('../package.json');
const required = manifest.engines.node.replace('>=', '');
/** Commands that run for a long time, so that their memory matters. */
const takesLong = /^(serve|deliver|watch|find|messages export|messages list .*--match)\b/;
const bundled = pathTo('../node_modules/node/bin/node');

// By default it opens Node's debugger, through which other accounts on this machine could control the program.
process.on('SIGUSR1', () => {});

if (!isNewEnough(process.versions.node) && mayContinue()) continueUnder(bundled);
else if (!isNewEnough(process.versions.node)) refuse();
// Scripts ask this most often. Commander would answer the same.
else if (/^(-V|--version)$/.test(process.argv[2]) && process.argv.length === 3) say(manifest.version);
else await startHere();

async function startHere() {
  const inClone = existsSync(pathTo('../src/cli/main.ts'));
  if (inClone && !existsSync(pathTo('../node_modules'))) {
    fail('ruffinweb: its packages are not installed. Run "npm ci" in', pathTo('..'));
    return;
  }
  if (takesLong.test(process.argv.slice(2).join(' '))) startWithSmallHeap();
  keepCompiled();
  const { main } = await import(inClone ? '../src/cli/main.ts' : '../dist/cli/main.js');
  await main();
}

/**
 * By default V8 lets garbage grow to twice the needed memory, and its middle compiler (Maglev) may take memory that it
 * never returns (decision 53). These flags only work at the start, so this process replaces itself, with the same pid
 * and terminal. Nothing changes if an operator has set one of the flags, or on Windows, which cannot do this.
 */
function startWithSmallHeap() {
  const limits = [
    '--min-semi-space-size=8',
    '--max-semi-space-size=8',
    '--heap-growing-percent=50',
    '--no-maglev',
    '--v8-pool-size=1',
  ];
  // Until the SIGUSR1 handler above has been set.
  limits.push('--disable-sigusr1');
  const asked = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  if (/semi-space|heap-growing/.test(asked)) return;
  try {
    const args = [process.execPath, ...process.execArgv, ...limits, ...process.argv.slice(1)];
    // By default glibc keeps memory for each thread and returns little of it.
    process.execve(process.execPath, args, { MALLOC_ARENA_MAX: '2', ...process.env });
  } catch {
    // Continue with the normal heap.
  }
}

/**
 * Caches V8's compiled code for the next start: next to the program, or in the user's own folder if that is not
 * writable. Not in the machine's temporary folder, where others could leave compiled code for us to run. Without a
 * writable folder there is no cache.
 */
function keepCompiled() {
  const { NODE_COMPILE_CACHE: asked, HOME: home } = process.env;
  const kept = nodeModule.enableCompileCache?.(asked ?? pathTo('../node_modules/.cache/compiled'));
  if (kept?.status !== nodeModule.constants?.compileCacheStatus.FAILED || asked || !home) return;
  nodeModule.enableCompileCache(`${home}/.cache/ruffinweb`);
}

/** Continues under another Node, with the same arguments, terminal and signals, and ends as it ends. */
function continueUnder(node) {
  // Forward signals before the start: one in between would end only us and leave the program running. Ctrl-C in a
  // terminal also reaches the child directly; there two signals within two seconds count as one (`signals.ts`).
  const { spawn } = load('node:child_process');
  const { constants } = load('node:os');
  const forward = (signal) => child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  child.once('error', (error) => refuse(`The one in node_modules cannot be run: ${error.message}.`));
  child.once('exit', (code, signal) => {
    for (const it of signals) process.off(it, forward);
    process.exitCode = code ?? 128 + constants.signals[signal];
    // Our parent process should see the same signal.
    if (signal) process.kill(process.pid, signal);
  });
}

function mayContinue() {
  return isNewEnough(bundledVersion()) && realpathSync(bundled) !== process.execPath;
}

function say(line) {
  // The reader may close the pipe early.
  process.stdout.on('error', () => {});
  process.stdout.write(`${line}\n`);
}

function refuse(...why) {
  fail(
    `ruffinweb needs Node ${required} or newer; this is ${process.versions.node}.`,
    ...why,
    'In a clone "npm ci" installs one for this project alone, unless npm\'s install scripts are off (ignore-scripts):',
    'then the package "node" comes without its program, and "npm ci --ignore-scripts=false" gets it.',
    'Elsewhere install Node 24 from https://nodejs.org.',
  );
}

function fail(...lines) {
  process.stderr.write(`${lines.join('\n')}\n`);
  process.exitCode = 1;
}

/** The version of the package `node`, a development dependency; 0.0.0 if it or its program is missing. */
function bundledVersion() {
  if (!existsSync(bundled)) return '0.0.0';
  return readJson('../node_modules/node/package.json').version;
}

function isNewEnough(version) {
  const have = version.split('.').map(Number);
  const want = required.split('.').map(Number);
  const first = want.findIndex((number, at) => have[at] !== number);
  return first === -1 || have[first] > want[first];
}

function pathTo(relative) {
  return fileURLToPath(new URL(relative, import.meta.url));
}

function readJson(relative) {
  return JSON.parse(readFileSync(pathTo(relative), 'utf8'));
}
