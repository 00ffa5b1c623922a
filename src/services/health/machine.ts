import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { bad, type Finding, good, type HealthParts } from './health-check.ts';

const mebibyte = 1024 * 1024;

export async function checkDisk(parts: Pick<HealthParts, 'config'>): Promise<Finding> {
  const { dataDir } = parts.config;
  const disk = await statfs(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (disk === undefined) return good(`${dataDir} does not exist yet`);
  const free = disk.bavail * disk.bsize;
  const share = disk.blocks === 0 ? 1 : disk.bavail / disk.blocks;
  const fact = `${formatBytes(free)} free (${Math.round(share * 100)} %) at ${dataDir}`;
  if (free >= 1024 * mebibyte && share >= 0.05) return good(fact);
  return bad(free < 200 * mebibyte ? 'fail' : 'warn', fact, 'free space, or move DATA_DIR');
}

/** Writable by the group, or open to everybody. */
const tooOpen = 0o027;

/** Files with keys, passwords and other secrets. */
export async function checkFiles({ config: { dataDir }, secretFiles }: HealthParts): Promise<Finding> {
  const ours = ['encryption.keys', 'postgres.password'].map((name) => join(dataDir, name));
  const open: string[] = [];
  for (const path of new Set([...secretFiles, ...ours])) {
    // There is no other account in a container.
    if (path.startsWith('/run/secrets/')) continue;
    const mode = await stat(path).then(
      (it) => it.mode,
      () => 0,
    );
    if ((mode & tooOpen) !== 0) open.push(path);
  }
  if (open.length === 0) return good('no secret is open to other accounts');
  return bad('warn', `other accounts can read or change ${open.join(', ')}`, `chmod 600 ${open.join(' ')}`);
}

/**
 * This process sees no visitors' requests, so it judges only what must be wrong: the server speaks no TLS itself, so
 * an https address means a proxy. The server's log warns about a number that a post contradicts.
 */
export function checkProxies({ config: { publicUrl, trustProxy } }: HealthParts): Finding {
  if (trustProxy > 0 || !publicUrl.startsWith('https:')) return good(`TRUST_PROXY is ${trustProxy}`);
  return bad(
    'warn',
    `TRUST_PROXY is 0, but ${publicUrl} needs a proxy for https: all visitors share one limit`,
    'set TRUST_PROXY to the number of proxies, and let each add to X-Forwarded-For',
  );
}

export function checkSettings({ config: { warnings } }: HealthParts): Finding {
  if (warnings.length === 0) return good('no published secret, and nothing leaves the network unencrypted');
  const fact = warnings.map(({ variable, wrong }) => `${variable} ${wrong}`).join('; ');
  return bad('warn', fact, warnings.map(({ fix }) => fix).join('; '));
}

/** Only a warning: posts are accepted without Redis. */
export async function checkRedis(describe: NonNullable<HealthParts['redis']>): Promise<Finding> {
  try {
    const { version, tookMs } = await describe();
    return good(`Redis ${version} answers in ${tookMs.toFixed(1)} ms`);
  } catch (error) {
    const fact = `Redis does not answer: ${(error as Error).message}; each server counts limits separately`;
    return bad('warn', fact, 'start Redis, or correct REDIS_URL');
  }
}

function formatBytes(bytes: number): string {
  const gibibytes = bytes / (1024 * mebibyte);
  return gibibytes >= 1 ? `${gibibytes.toFixed(1)} GiB` : `${Math.round(bytes / mebibyte)} MiB`;
}
