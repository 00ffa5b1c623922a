import { isIP } from 'node:net';
import { bareHost } from '../hooks/hook-url.ts';
import { readOrigin } from '../network/origin.ts';
import type { RateLimit } from './config.ts';
import { list, text } from './values.ts';

/** Names of this machine in URLs that its own browser uses. */
export const loopbackNames = ['localhost', '127.0.0.1', '::1'];

export const hostList = list((part) => {
  const name = bareHost(part);
  const isPlain = /^[^\s/\\?#:@[\]]+$/.test(name);
  const url = isIP(name) === 6 ? URL.parse(`http://[${name}]`) : isPlain ? URL.parse(`http://${name}`) : null;
  // URLs allow a star, but it would match nothing here.
  if (url === null || url.hostname.includes('*')) {
    throw new Error(`must be host names separated by commas, without scheme and port; "${part}" is not one`);
  }
  return bareHost(url.hostname);
});

export const originList = list((part) => {
  const origin = readOrigin(part);
  if (origin !== undefined) return origin;
  throw new Error(`must be origins (scheme, name and port, no path) separated by commas; "${part}" is not one`);
});

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export const rateLimit = text((value): RateLimit | undefined => {
  if (value === 'off') return undefined;
  const match = /^(\d{1,6})\/(\d{1,5})([smhd])$/.exec(value);
  const posts = Number(match?.[1]);
  const windowMs = Number(match?.[2]) * unitMs[(match?.[3] ?? 's') as keyof typeof unitMs];
  if (!(posts >= 1 && windowMs >= 1000 && windowMs <= unitMs.d)) {
    throw new Error('must be "off" or a number of posts and a time of at most a day, as in 10/1m');
  }
  return { posts, windowMs };
});
