/**
 * Runs before the scripts in package.json: installs the packages in package-lock.json if any is missing or has another
 * version. It compares versions, not dates, because a checkout or a copy changes dates.
 *
 * Like the launcher, it must run under Node 18.
 */
import { spawn } from 'node:child_process';
import { existsSync, linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const lock = `${root}.installing`;
const nodeProgram = 'node_modules/node/bin/node';

if (whatIsMissing().length > 0) await installOnce();

async function installOnce() {
  // If not, another process has installed them meanwhile.
  if (!(await takeLock())) return;
  const heartbeat = setInterval(touchLock, 1_000);
  try {
    const { packages } = readJson('package-lock.json');
    const libc = process.report?.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
    const isWanted = (path) => path !== '' && isForThisMachine(packages[path]) && suits(packages[path].libc, libc);
    const count = Object.keys(packages).filter(isWanted).length;
    say(`Installing ${count} packages into node_modules (about 400 MB, with Node and PostgreSQL). This happens once.`);
    const development = needsDevelopment() ? ['--include=dev'] : [];
    // The log level hides a long warning that this Node is too old; we install a new one. The last two options override
    // what npm passes on: under `npm publish --dry-run` it would install nothing.
    const options = ['--no-audit', '--no-fund', '--loglevel=error', '--dry-run=false', '--json=false', ...development];
    process.exitCode = await runNpm(['ci', ...options]);
    if (process.exitCode !== 0) say('npm ci failed; see its output above.');
    else checkResult();
  } finally {
    clearInterval(heartbeat);
    rmSync(lock, { force: true });
  }
}

/** Reports an incomplete installation now. Otherwise the program would fail later, or every start would install again. */
function checkResult() {
  const missing = whatIsMissing();
  if (missing.length === 0) return;
  if (missing.includes(nodeProgram)) {
    say(`This project needs Node ${requiredNode()} or newer; this is ${process.versions.node}.`);
    say('npm\'s install scripts are off (ignore-scripts), so the package "node" came without its program.');
    say('Run "npm ci --ignore-scripts=false", or install Node 24 from https://nodejs.org.');
  } else {
    say(`npm ci did not install ${missing.slice(0, 3).join(', ')}. Check the settings in .npmrc.`);
  }
  process.exitCode = 1;
}

/** Lists the packages of package-lock.json that node_modules lacks in that version. */
function whatIsMissing() {
  const wanted = readJson('package-lock.json').packages;
  // npm writes this list at the very end of an installation.
  const installed = existsSync(`${root}node_modules/.package-lock.json`)
    ? readJson('node_modules/.package-lock.json').packages
    : {};
  const missing = Object.keys(wanted).filter((path) => {
    const it = wanted[path];
    if (path === '' || it.link || !isForThisMachine(it) || isLeftOut(it)) return false;
    const has = installed[path];
    return !has || has.version !== it.version || has.integrity !== it.integrity;
  });
  if (!isNewEnough(process.versions.node) && !existsSync(root + nodeProgram)) missing.push(nodeProgram);
  return missing;
}

/** Whether npm's settings leave a package out, or npm may fail to install it. */
function isLeftOut({ dev, optional, libc }) {
  const omitted = (process.env.npm_config_omit ?? '').split(/\s+/);
  if (optional && (libc || omitted.includes('optional'))) return true;
  return dev === true && !needsDevelopment();
}

/** A production machine with a new Node needs no development packages; one of them is Node. */
function needsDevelopment() {
  const leavesOut = process.env.NODE_ENV === 'production' || /\bdev\b/.test(process.env.npm_config_omit ?? '');
  const startOnly = process.env.npm_lifecycle_event === 'prestart';
  return !(leavesOut && startOnly && isNewEnough(process.versions.node) && !process.execPath.startsWith(root));
}

function isForThisMachine({ os, cpu }) {
  return suits(os, process.platform) && suits(cpu, process.arch);
}

function suits(list, value) {
  return !list || list.includes(value) || list.includes('any');
}

/** Waits for another installation. @returns true if the lock is ours, false if nothing is left to do. */
async function takeLock() {
  const draft = `${lock}-${process.pid}`;
  let hasSaid = false;
  try {
    for (;;) {
      writeFileSync(draft, String(process.pid));
      try {
        linkSync(draft, lock);
        if (whatIsMissing().length > 0) return true;
        rmSync(lock, { force: true });
        return false;
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      if (isStale(lock)) {
        // Rename it, so that only one of two processes removes it. If it was a fresh one, put it back.
        const aside = `${lock}-old-${process.pid}`;
        try {
          renameSync(lock, aside);
          if (!isStale(aside)) linkSync(aside, lock);
        } catch {
          // Another process was quicker.
        }
        rmSync(aside, { force: true });
        continue;
      }
      if (!hasSaid) say('Another installation is running in this folder; waiting for it.');
      hasSaid = true;
      await delay(200);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** A killed installation left it: its process is gone, or no process has touched it for a minute. */
function isStale(path) {
  try {
    if (Date.now() - statSync(path).mtimeMs > 60_000) return true;
    process.kill(Number(readFileSync(path, 'utf8')), 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function touchLock() {
  const now = new Date();
  try {
    utimesSync(lock, now, now);
  } catch {
    // Somebody has removed it.
  }
}

/** Runs the npm that runs us. Its output goes to stderr, because stdout belongs to the program that starts next. */
function runNpm(args) {
  const { npm_execpath: npm = '', npm_node_execpath: node = process.execPath } = process.env;
  const command = /npm-cli\.c?js$/.test(npm) && existsSync(npm) ? [node, npm, ...args] : ['npm', ...args];
  const child = spawn(command[0], command.slice(1), { cwd: root, stdio: ['ignore', 2, 2] });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.once('error', (error) => {
      say(`cannot run npm: ${error.message}`);
      resolve(1);
    });
    child.once('exit', (code) => resolve(code ?? 130));
  });
}

function isNewEnough(version) {
  const have = version.split('.').map(Number);
  const want = requiredNode().split('.').map(Number);
  const first = want.findIndex((number, at) => have[at] !== number);
  return first === -1 || have[first] > want[first];
}

function requiredNode() {
  return readJson('package.json').engines.node.replace('>=', '');
}

function readJson(path) {
  return JSON.parse(readFileSync(root + path, 'utf8'));
}

function say(line) {
  process.stderr.write(`${line}\n`);
}
