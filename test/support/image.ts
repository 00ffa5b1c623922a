import { execFile, spawn } from 'node:child_process';
import { chown, cp, mkdir, readFile } from 'node:fs/promises';
import { dirname, join, matchesGlob, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** If these tests may switch users, they run as the image's user; otherwise they own everything in its folders. */
const nodeUser = process.getuid?.() === 0 ? { uid: 1000, gid: 1000 } : {};

interface Stage {
  name: string;
  from: string;
  /** The folder that stands for the image's root. */
  root: string;
  workdir: string;
  env: Record<string, string>;
  user?: string;
  entrypoint?: string[];
  cmd?: string[];
  health?: string[];
}

/** One instruction per line, without comments and with continued lines joined. */
export function readDockerfile(text: string): [instruction: string, rest: string][] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  return lines
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, instruction = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
      return [instruction, rest];
    });
}

/**
 * Follows a Dockerfile by hand, without a container engine: each stage is a plain folder, and its copies and commands
 * really run there. Anything from its base images is replaced by this machine's.
 */
export async function buildByHand(dockerfile: string, source: string, folder: string): Promise<Stage> {
  const stages: Stage[] = [];
  for (const [instruction, rest] of readDockerfile(await readFile(dockerfile, 'utf8'))) {
    const stage = stages.at(-1);
    if (instruction === 'FROM') {
      const [from = '', , name = `stage-${stages.length}`] = rest.split(/\s+/);
      stages.push({ name, from, root: join(folder, name), workdir: '/', env: {} });
      await mkdir(join(folder, name), { recursive: true });
      continue;
    }
    if (stage === undefined) throw new Error(`${instruction} before FROM`);
    const here = (path: string) => join(stage.root, resolve(stage.workdir, path));
    switch (instruction) {
      case 'WORKDIR':
        stage.workdir = rest;
        await mkdir(here('.'), { recursive: true });
        break;
      case 'ENV':
        for (const pair of rest.split(/\s+/)) stage.env[pair.split('=')[0] ?? ''] = pair.split('=')[1] ?? '';
        break;
      case 'COPY': {
        const words = rest.split(/\s+/);
        const from = stages.find((it) => `--from=${it.name}` === words[0]);
        const paths = words.filter((it) => !it.startsWith('--'));
        const to = here(paths.pop() ?? '');
        for (const path of paths) {
          if (from !== undefined) await cp(join(from.root, path), to, { recursive: true });
          else for (const file of await sourcesOf(source, path)) await cp(join(source, file), join(to, file));
        }
        if (words.includes('--chown=node:node') && nodeUser.uid !== undefined)
          await chown(to, nodeUser.uid, nodeUser.gid);
        break;
      }
      case 'RUN':
        await run('sh', ['-ec', rest], { cwd: here('.'), maxBuffer: 2 ** 24, env: { ...process.env, ...stage.env } });
        break;
      case 'USER':
        stage.user = rest;
        break;
      case 'HEALTHCHECK':
        stage.health = JSON.parse(rest.slice(rest.indexOf('[')));
        break;
      case 'ENTRYPOINT':
        stage.entrypoint = JSON.parse(rest);
        break;
      case 'CMD':
        stage.cmd = JSON.parse(rest);
        break;
      case 'EXPOSE':
      case 'STOPSIGNAL':
        break;
      default:
        throw new Error(`${instruction} is not known here`);
    }
  }
  const last = stages.at(-1);
  if (last === undefined) throw new Error('no FROM');
  return last;
}

/** Whether a `.dockerignore` excludes a file: the last line that matches it, or a folder above it, decides. */
export function readDockerignore(text: string): (file: string) => boolean {
  const lines = text.split('\n').filter((it) => it !== '');
  return (file) => {
    const line = lines.findLast((it) => {
      const pattern = it.replace(/^!/, '');
      return matchesGlob(file, pattern) || matchesGlob(file, `${pattern}/**`);
    });
    return line !== undefined && !line.startsWith('!');
  };
}

/** The files of a clone, without those that git or `.dockerignore` exclude. */
async function sourcesOf(source: string, path: string): Promise<string[]> {
  const { stdout } = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--', path], {
    cwd: source,
    maxBuffer: 2 ** 24,
  });
  const isIgnored = readDockerignore(await readFile(join(source, '.dockerignore'), 'utf8'));
  return stdout.split('\n').filter((file) => file !== '' && !isIgnored(file));
}

/** Starts a program of the image in its folder, as the engine would in the container. */
export function startInImage(image: Stage, command: readonly string[], env: Record<string, string>) {
  const inside = command.map((word) => (word.startsWith('/') ? join(image.root, word) : word));
  const [program = '', ...args] = inside;
  return spawn(program === 'node' ? process.execPath : program, args, {
    cwd: join(image.root, image.workdir),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(image.user === 'node' && nodeUser),
    env: { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, ...image.env, ...env },
  });
}
