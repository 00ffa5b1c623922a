import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { isOnOwnNetwork } from '../network/ip-network.ts';
import { explainUnusable, socketFolderHint } from '../network/server-url.ts';
import { readBytes } from '../text-file.ts';

/** Where the database is and how to connect to it, for `pg` and for the ORM. */
export interface DatabaseAddress {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  ssl: false | TlsOptions;
}

/**
 * Reads a PostgreSQL URL, with libpq's meaning of `sslmode` and `sslrootcert` (PostgreSQL manual, "SSL Support", table
 * 32.1), except that a host outside our network needs `verify-full` by default. The ORM would silently ignore them.
 *
 * @throws {Error} for an invalid URL, and for modes that fall back to an unencrypted connection.
 */
export function readDatabaseUrl(text: string): DatabaseAddress {
  const unusable = explainUnusable(text);
  if (unusable !== undefined) throw new Error(`it ${unusable}`);
  const url = new URL(text);
  if (url.protocol !== 'postgresql:' && url.protocol !== 'postgres:') {
    throw new Error(`${url.protocol}// is not PostgreSQL`);
  }
  if (url.searchParams.has('host')) throw new Error(`the parameter "host" is not supported: ${socketFolderHint}`);
  const database = decodeURIComponent(url.pathname.slice(1));
  if (database === '') throw new Error('the name of the database is missing');
  return {
    host: url.hostname === '' ? '127.0.0.1' : decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 5432 : Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database,
    ssl: readSslMode(url.searchParams.get('sslmode') ?? defaultSslMode(url), url.searchParams.get('sslrootcert')),
  };
}

/**
 * Nothing crosses the internet in clear text unless the URL says so. A certificate is there to be checked, in any network.
 * A host that starts with an encoded slash is a socket.
 */
function defaultSslMode({ hostname, searchParams }: URL): string {
  const isOurs = /^%2f/i.test(hostname) || isOnOwnNetwork(hostname);
  return isOurs && !searchParams.has('sslrootcert') ? 'disable' : 'verify-full';
}

function readSslMode(mode: string, rootCertificate: string | null): false | TlsOptions {
  // libpq's word for the authorities that the system trusts; ours are Node's.
  const ca = rootCertificate === null || rootCertificate === 'system' ? {} : { ca: readBytes(rootCertificate) };
  switch (mode) {
    case 'disable':
      return false;
    case 'require':
      return { ...ca, rejectUnauthorized: rootCertificate !== null };
    case 'verify-ca':
      return { ...ca, rejectUnauthorized: true, checkServerIdentity: () => undefined };
    case 'verify-full':
      return { ...ca, rejectUnauthorized: true };
    default:
      throw new Error(`sslmode=${mode} is not supported; use disable, require, verify-ca or verify-full`);
  }
}
