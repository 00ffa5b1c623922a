import { isIP } from 'node:net';
import * as z from 'zod';
import { eachAddressOnce, readAddress, readMailbox } from '../address.ts';
import { readIp } from '../network/ip-network.ts';
import { explainUnusable, socketFolderHint } from '../network/server-url.ts';
import { Secret } from '../secret.ts';
import { TextFileFault } from '../text-file.ts';
import { isTimeZone } from '../time-zone.ts';
import type { KeyConfig } from './config.ts';
import { isPublicKey, isPublicToken } from './public-secrets.ts';

// One schema for each kind of setting. An error completes the sentence "NAME …".

/** @param read throws an Error with what is wrong. */
export function text<T>(read: (text: string) => T): z.ZodType<T> {
  return z.string().transform((value, context) => {
    try {
      return read(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  });
}

/** Values separated by commas. @param read throws an Error with what is wrong. */
export function list<T>(read: (part: string) => T): z.ZodType<T[]> {
  return text((value) => value.split(',').map((part) => read(part.trim())));
}

export function oneOf<const Options extends string[]>(...options: Options) {
  return z.enum(options, { error: `must be one of ${options.join(', ')}` });
}

export function wholeNumber(min: number, max: number, error = `must be a whole number from ${min} to ${max}`) {
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
}

export const onOrOff = oneOf('on', 'off').transform((value) => value === 'on');

export const dayCount = wholeNumber(0, 36_500, 'must be a whole number of days, or 0 to keep messages for ever');

export const secretText = z.string().transform((value) => new Secret(value));

/** Long enough that nobody guesses it, and valid in a header. */
export const tokenText = z
  .string()
  .regex(/^[\x21-\x7e]{16,200}$/, 'must be 16 to 200 printable characters without spaces')
  .refine((value) => !isPublicToken(value), 'must not be the published example or one repeated character')
  .transform((value) => new Secret(value));

export const timeZone = z.string().refine(isTimeZone, 'must be the name of a time zone');

export const dkimSelector = z
  .string()
  .regex(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/, 'must be a DNS name, such as s20261122');

export const dnsServer = z
  .string()
  .refine((value) => !value.startsWith('"') && readIp(value) !== undefined, 'must be an IP address, maybe with a port');

export const hostName = z
  .string()
  .refine(
    (value) => isIP(value) !== 0 || /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(value),
    'must be a host name or an IP address, without a scheme or a port',
  );

const dnsLabels = /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/;

export const dnsName = z
  .string()
  .refine(
    (value) => isIP(value) === 0 && dnsLabels.test(value),
    'must be a host name, without a scheme or a port; not an IP address',
  );

/** Without a slash at its end. */
export const webAddress = text((value) => {
  const url = URL.parse(value);
  const isPlain = url?.username === '' && url.password === '' && url.search === '' && url.hash === '';
  // The URL standard reads "https:https://a" and "https://https://a" as addresses of a host "https".
  const isDoubled = !/^https?:\/\/[^/]/i.test(value) || /\/\/|@/.test(url?.pathname ?? '');
  if (!isPlain || isDoubled || !/^https?:$/.test(url.protocol)) {
    throw new Error('must be an http or https address without login, query and fragment');
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
});

/** What to write instead of parameters that providers and other programs print. */
const insteadOf: Readonly<Record<string, string>> = {
  ssl: 'write sslmode=require',
  host: socketFolderHint,
  channel_binding: 'remove it; sslmode=verify-full makes sure that it is the right server',
};
const onlyTls = 'remove it; only sslmode and sslrootcert are';

export const databaseUrl = text((value) => {
  if (value === 'embedded') return new Secret(value);
  const url = URL.parse(value);
  const unusable = explainUnusable(value);
  if (unusable !== undefined) throw new Error(unusable);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol) || isNameless(url)) {
    const isCut = /:.*\D/s.test(value.slice(value.indexOf('//')).split(/[@/]/).at(-1) ?? '');
    const hint = isCut ? '; in .env, put a value that contains # in quotes' : '';
    throw new Error(`must be "embedded" or a postgresql:// address with a database name${hint}`);
  }
  for (const name of url.searchParams.keys()) {
    if (name === 'sslmode' || name === 'sslrootcert') continue;
    // What does not look like a name may be a piece of a password.
    const shown = /^[a-z_]+$/.test(name) ? `a parameter "${name}", which` : 'a parameter that';
    throw new Error(`has ${shown} is not supported: ${insteadOf[name] ?? onlyTls}`);
  }
  if (![url.username, url.password, url.pathname].every(isDecodable)) {
    throw new Error('has a % that encodes no character: write it as %25');
  }
  const mode = url.searchParams.get('sslmode') ?? 'disable';
  if (!['disable', 'require', 'verify-ca', 'verify-full'].includes(mode)) {
    throw new Error(
      `must have sslmode=disable, require, verify-ca or verify-full; "${mode}" is unknown or could fall back to plain text`,
    );
  }
  return new Secret(value);
});

/** Without a host, an @ in the path belongs to a login. */
function isNameless({ hostname, pathname }: URL): boolean {
  return !/^\/./.test(pathname) || (hostname === '' && pathname.includes('@'));
}

function isDecodable(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

export const redisUrl = text((value) => {
  const unusable = explainUnusable(value);
  if (unusable !== undefined) throw new Error(unusable);
  const url = URL.parse(value);
  if (!url?.hostname || !/^rediss?:$/.test(url.protocol) || !/^(\/\d{0,4})?$/.test(url.pathname)) {
    throw new Error('must be a redis:// or rediss:// address, maybe with a login and a database number');
  }
  return new Secret(value);
});

export const mailbox = text((value) => {
  const found = readMailbox(value);
  if (found === undefined) throw new Error('must be an address, or a name followed by an address in angle brackets');
  return found;
});

export const addressList = list((part) => {
  const address = readAddress(part, { localDomain: true });
  if (address === undefined) throw new Error(`must be addresses separated by commas; "${part}" is not one`);
  return address;
}).transform(eachAddressOnce);

export const keyList = list((part): KeyConfig => {
  const [, id, secret] = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/]{43}=)$/.exec(part) ?? [];
  if (id === undefined || secret === undefined) {
    throw new Error('must be id:key pairs separated by commas, each key 32 bytes in base64');
  }
  return { id, secret: new Uint8Array(Buffer.from(secret, 'base64')) };
})
  .refine((keys) => new Set(keys.map(({ id }) => id)).size === keys.length, 'must not have two keys with the same id')
  .transform((keys) => new Secret<readonly KeyConfig[]>(keys));

/** A key that everybody knows may still decrypt, so that `encryption rotate` can replace it. */
export const productionKeyList = keyList.refine((keys) => {
  const [first] = keys.reveal();
  return first === undefined || !isPublicKey(first.secret);
}, 'must not start with a key that is published or one repeated byte: put a new key in front of it, then run "ruffinweb encryption rotate"');

/** Reads the text of the key file, which is written like `ENCRYPTION_KEYS`. @throws {TextFileFault} */
export function readKeys(value: string, file: string): readonly KeyConfig[] {
  const keys = keyList.safeParse(value);
  if (!keys.success) throw new TextFileFault(file, 1, keys.error.issues[0]?.message ?? 'is not valid');
  return keys.data.reveal();
}
