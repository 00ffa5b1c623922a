import { isIP } from 'node:net';
import * as z from 'zod';
import { eachAddressOnce, type Mailbox, readAddress, readMailbox } from '../address.ts';
import { Secret } from '../secret.ts';
import type { KeyConfig } from './config.ts';
import { text } from './text.ts';

// How the text of each kind of setting is read; what is wrong with one is told as the end of "NAME …".

export function secretText(): z.ZodType<Secret> {
  return z.string().transform((it) => new Secret(it));
}

/** Long enough that nobody guesses it, and fit for a header. */
export function tokenText(): z.ZodType<Secret> {
  return text((value) => {
    if (!/^[\x21-\x7e]{16,200}$/.test(value)) throw new Error('must be 16 to 200 printable characters without spaces');
    return new Secret(value);
  });
}

export function dkimSelector(): z.ZodType<string> {
  return text((value) => {
    if (!/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(value)) throw new Error('must be a name in the DNS');
    return value;
  });
}

export function dnsServer(): z.ZodType<string> {
  return text((value) => {
    const [, v6, v4] = /^(?:\[(.*)\]|([^:]*))(?::\d{1,5})?$/.exec(value) ?? [];
    if (isIP(value) === 0 && isIP(v6 ?? v4 ?? '') === 0) throw new Error('must be an IP address, maybe with a port');
    return value;
  });
}

export function oneOf<const Options extends string[]>(...options: Options): z.ZodType<Options[number]> {
  return z.enum(options, { error: `must be one of ${options.join(', ')}` });
}

export function onOrOff(): z.ZodType<boolean> {
  return oneOf('on', 'off').transform((it) => it === 'on');
}

export function portNumber(lowest: number): z.ZodType<number> {
  const error = `must be a whole number from ${lowest} to 65535`;
  return z.coerce.number({ error }).int({ error }).min(lowest, { error }).max(65_535, { error });
}

export function connectionCount(): z.ZodType<number> {
  const error = 'must be a whole number from 1 to 50';
  return z.coerce.number({ error }).int({ error }).min(1, { error }).max(50, { error });
}

export function dayCount(): z.ZodType<number> {
  const error = 'must be a whole number of days, 0 for ever';
  return z.coerce.number({ error }).int({ error }).min(0, { error }).max(36_500, { error });
}

export function hostName(): z.ZodType<string> {
  return text((value) => {
    if (isIP(value) === 0 && !/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(value)) {
      throw new Error('must be a host name or an IP address, without a scheme or a port');
    }
    return value;
  });
}

export function dnsName(): z.ZodType<string> {
  return text((value) => {
    const isName =
      /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/.test(value);
    if (isIP(value) !== 0 || !isName) throw new Error('must be a host name, without a scheme or a port');
    return value;
  });
}

export function webAddress(): z.ZodType<string> {
  return text((value) => {
    const url = URL.parse(value);
    if (
      url === null ||
      !/^https?:$/.test(url.protocol) ||
      url.username !== '' ||
      url.search !== '' ||
      url.hash !== ''
    ) {
      throw new Error('must be an http or https address without login, query and fragment');
    }
    return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
  });
}

export function databaseUrl(): z.ZodType<Secret> {
  return text((value) => {
    const url = URL.parse(value);
    const isPostgres = url !== null && /^postgres(ql)?:$/.test(url.protocol) && url.pathname.length > 1;
    if (value !== 'embedded' && !isPostgres)
      throw new Error('must be "embedded" or a postgresql:// address with a database name');
    for (const name of url?.searchParams.keys() ?? []) {
      if (name === 'sslmode' || name === 'sslrootcert') continue;
      const instead = name === 'ssl' ? 'write sslmode=require' : 'its parameters are sslmode and sslrootcert';
      throw new Error(`has a parameter "${name}", which would mean nothing: ${instead}`);
    }
    if (url !== null && [url.username, url.password, url.pathname].some((part) => !isDecodable(part))) {
      throw new Error('has a % that stands for itself: write it as %25');
    }
    const mode = url?.searchParams.get('sslmode') ?? 'disable';
    if (!['disable', 'require', 'verify-ca', 'verify-full'].includes(mode)) {
      throw new Error(
        `must say sslmode=disable, require, verify-ca or verify-full; ${mode} would fall back to plain text or mean nothing`,
      );
    }
    return new Secret(value);
  });
}

function isDecodable(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

export function redisUrl(): z.ZodType<Secret> {
  return text((value) => {
    const url = URL.parse(value);
    if (
      url === null ||
      !/^rediss?:$/.test(url.protocol) ||
      url.hostname === '' ||
      !/^(\/\d{0,4})?$/.test(url.pathname)
    ) {
      throw new Error('must be a redis:// or rediss:// address, maybe with a login and the number of a database');
    }
    return new Secret(value);
  });
}

export function mailbox(): z.ZodType<Mailbox> {
  return text((value) => {
    const found = readMailbox(value);
    if (found === undefined) throw new Error('must be an address, or a name followed by an address in angle brackets');
    return found;
  });
}

export function addressList(): z.ZodType<string[]> {
  return text((value) => {
    const addresses = value.split(',').map((part) => {
      const address = readAddress(part.trim(), { localDomain: true });
      if (address === undefined) throw new Error(`must be addresses separated by commas; "${part.trim()}" is not one`);
      return address;
    });
    return eachAddressOnce(addresses);
  });
}

export function keyList(): z.ZodType<Secret<KeyConfig[]>> {
  return text((value) => {
    const keys = value.split(',').map((part) => {
      const match = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/]{43}=)$/.exec(part.trim());
      if (match?.[1] === undefined || match[2] === undefined) {
        throw new Error('must be id:key pairs separated by commas, each key 32 bytes in base64');
      }
      return { id: match[1], secret: new Uint8Array(Buffer.from(match[2], 'base64')) };
    });
    if (new Set(keys.map((key) => key.id)).size < keys.length) throw new Error('must not have two keys of one id');
    return new Secret(keys);
  });
}

/** Reads the text that `makeKeyFile` keeps, which has the form of `ENCRYPTION_KEYS`. */
export function readKeys(value: string): readonly KeyConfig[] {
  return keyList().parse(value).reveal();
}
