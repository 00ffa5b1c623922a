import { isIP } from 'node:net';
import * as z from 'zod';
import type { RateLimit } from './config.ts';
import { text } from './text.ts';

/** What a browser on the server's own machine calls it. */
export const loopbackNames = ['localhost', '127.0.0.1', '::1'];

/** A host as URLs have it, an IPv6 address freed of its brackets. */
export function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

export function hostList(): z.ZodType<string[]> {
  return text((value) =>
    value.split(',').map((part) => {
      const name = bareHost(part.trim());
      const isPlain = /^[^\s/\\?#:@[\]]+$/.test(name);
      const url = isIP(name) === 6 ? URL.parse(`http://[${name}]`) : isPlain ? URL.parse(`http://${name}`) : null;
      // A star is let through by URLs, and would stand for nothing here.
      if (url === null || url.hostname.includes('*')) {
        throw new Error(`must be host names separated by commas, without scheme and port; "${part.trim()}" is not one`);
      }
      return bareHost(url.hostname).replace(/\.$/, '');
    }),
  );
}

export function originList(): z.ZodType<string[]> {
  return text((value) =>
    value.split(',').map((part) => {
      const url = URL.parse(part.trim());
      const isOrigin = url !== null && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`;
      if (!isOrigin) {
        throw new Error(
          `must be origins (scheme, name and port, no path) separated by commas; "${part.trim()}" is not one`,
        );
      }
      return url.origin;
    }),
  );
}

export function proxyCount(): z.ZodType<number> {
  const error = 'must be a whole number from 0 to 10';
  return z.coerce.number({ error }).int({ error }).min(0, { error }).max(10, { error });
}

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export function rateLimit(): z.ZodType<RateLimit | undefined> {
  return text((value) => {
    if (value === 'off') return undefined;
    const match = /^(\d{1,6})\/(\d{1,5})([smhd])$/.exec(value);
    const posts = Number(match?.[1]);
    const windowMs = Number(match?.[2]) * unitMs[(match?.[3] ?? 's') as keyof typeof unitMs];
    if (!(posts >= 1 && windowMs >= 1000 && windowMs <= unitMs.d)) {
      throw new Error('must be "off" or a number of posts and a time of at most a day, as in 10/1m');
    }
    return { posts, windowMs };
  });
}
