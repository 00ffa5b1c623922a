import { isOutage } from '../../database/outage.ts';
import { isTlsError } from '../../network/tls-error.ts';
import { Problem, type ProblemCode } from '../../problems.ts';
import { needWords } from './advice.ts';
import { exitCode, exitCodeOf, exitCodeOfName } from './exit-codes.ts';

/** How a failed command exits, and what the operator reads. */
export interface Failure {
  exitCode: number;
  /** What went wrong and, if we know it, the fix. Undefined for an unexpected error. */
  message: string | undefined;
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof Problem) {
    const hint = searchFor(error) ?? hints[error.code];
    const message = hint ? `${error.message}: see "${hint}"` : error.message;
    return { exitCode: exitCodeOf(error.code), message: error.needs ? message + needWords[error.needs] : message };
  }
  if (!(error instanceof Error)) return { exitCode: exitCode.ourFault, message: undefined };
  const known = exitCodeOfName[error.name];
  if (known !== undefined) {
    const more = error.name === 'KeysWrong' ? ' ("ruffinweb encryption status" counts what needs each key)' : '';
    return { exitCode: known, message: error.message + more };
  }
  // First who raised it: a file or our own port can fail with the code of a lost connection.
  const explained = explainSystem(error) ?? explainDatabase(error);
  return { exitCode: explained === undefined ? exitCode.ourFault : exitCode.refused, message: explained };
}

function searchFor({ searchable: what, code }: Problem): string | undefined {
  const isSender = what?.includes('@') && code !== 'sender-unknown';
  return what && `ruffinweb ${isSender ? 'messages list --sender' : 'find'} ${what}`;
}

/** The command that shows what exists. */
const hints: Partial<Record<ProblemCode, string>> = {
  'sender-unknown': 'ruffinweb senders list',
  'message-unknown': 'ruffinweb messages list',
  'email-unknown': 'ruffinweb emails list',
  'form-unknown': 'ruffinweb forms list',
  'key-unknown': 'ruffinweb keys list',
  'hook-unknown': 'ruffinweb hooks list',
  'delivery-unknown': 'ruffinweb hooks deliveries list',
  'keys-wrong': 'ruffinweb encryption rotate --help',
};

const noTable: [what: string, fix: string] = [
  'a table or an index is missing',
  'if a restore is running, wait for its end, else run "ruffinweb migrate check"',
];

/** Messages for database errors that last until an operator fixes something, by SQLSTATE (PostgreSQL manual, appendix A). */
const databaseRefusals: Readonly<Record<string, [what: string, fix: string]>> = {
  '22P05': ['the database cannot store a character', "create it with ENCODING 'UTF8', and run this again"],
  '28000': ['the database does not let us in', 'fix the user or the sslmode in DATABASE_URL'],
  '28P01': ['the database rejected the login', 'fix the user and the password in DATABASE_URL'],
  '3D000': ['there is no such database', 'create it, or fix its name in DATABASE_URL'],
  '3F000': [
    'the database has no schema for our tables',
    'create the schema that the search_path of our database user names, or reset it',
  ],
  '42501': ['our database user may not do this', 'grant it, or run the command as the owner of the tables'],
  '42P01': noTable,
  '42P10': noTable,
};

/** Since PostgreSQL 15 only the owner of a database may create tables in it. */
const grantSchema = 'as the owner of the database, run: GRANT CREATE ON SCHEMA public TO that user';

/** Why a database that answered could not do it now, by SQLSTATE. */
const databaseTroubles: readonly [sqlState: RegExp, fact: string, fix: string][] = [
  [/^53100$/, 'the disk of the database is full', 'free some space there, and run this again'],
  [/^58/, 'the database cannot use its files', 'look at its disk and its log, and run this again'],
  [/^53/, 'the database is short of a resource', 'find out what uses it up, and run this again'],
  [
    /^25006$/,
    'the database is read-only',
    'let DATABASE_URL name the primary, or set default_transaction_read_only to off',
  ],
  [/^(?:55P03|57014|40...)$/, 'the database gave up because of a lock or a timeout', 'run this again'],
];

/** @returns undefined for an error that is not about reaching the database. */
function explainDatabase(error: Error): string | undefined {
  const codes = codesOf(error);
  const detail = innerMessage(error);
  const [what, fix] = codes.map((it) => databaseRefusals[it]).find((it) => it !== undefined) ?? [];
  if (what !== undefined) return `${what} (${detail}): ${/for schema public/.test(detail) ? grantSchema : fix}`;
  if (!isOutage(error)) return undefined;
  const handshake = explainHandshake(codes, detail);
  if (handshake !== undefined) return handshake;
  const trouble = databaseTroubles.find(([sqlState]) => codes.some((it) => sqlState.test(it)));
  if (trouble !== undefined) return `${trouble[1]} (${detail}): ${trouble[2]}`;
  const parameter = /unsupported startup parameter: (\w+)/.exec(detail)?.[1];
  if (parameter !== undefined)
    return `PgBouncer refuses ${parameter}: add it to ignore_startup_parameters, as in deploy/pgbouncer/pgbouncer.ini`;
  return `the database does not answer (${detail}): is it running, and is DATABASE_URL right?`;
}

/** Why the connection could not be set up. The driver's own errors have no codes. */
function explainHandshake(codes: readonly string[], detail: string): string | undefined {
  if (/does not support SSL connections/.test(detail))
    return 'the database speaks no TLS: switch it on there, or set sslmode=disable in DATABASE_URL if the network is private';
  if (/password must be a.*string/.test(detail)) return 'the database asks for a password: put it into DATABASE_URL';
  const code = codes.find(isTlsError);
  if (code === undefined) return undefined;
  const certificate = `the certificate of the database`;
  if (code === 'CERT_HAS_EXPIRED') return `${certificate} has expired (${detail}): renew it there`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || code === 'HOSTNAME_MISMATCH')
    return `${certificate} is for another name (${detail}): fix the host in DATABASE_URL, or use sslmode=verify-ca`;
  if (/^(?:DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code))
    return `${certificate} is signed by an unknown authority (${detail}): set sslrootcert in DATABASE_URL to the authority's certificate, or sslmode=require if the network is private`;
  return `no TLS connection to the database (${code}: ${detail}): check its certificate, and sslmode and sslrootcert in DATABASE_URL`;
}

/** The codes of an error and its causes. */
function codesOf(error: Error): string[] {
  const codes: string[] = [];
  for (let it: unknown = error; it instanceof Error; it = it.cause) {
    const { code } = it as { code?: unknown };
    if (typeof code === 'string') codes.push(code);
  }
  return codes;
}

/** Errors about files and folders that the operator named or owns. */
const fileErrors = new Set(
  'EACCES EPERM EROFS ENOSPC EDQUOT EIO ENOENT ENOTDIR EISDIR EEXIST ELOOP ENAMETOOLONG'.split(' '),
);

function explainSystem(error: Error): string | undefined {
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  if (syscall === 'uv_cwd') return 'the working folder no longer exists: change to another one, and run this again';
  if (!fileErrors.has(code ?? '')) return undefined;
  if (path !== undefined) return `${path} cannot be used: ${error.message}`;
  // The error does not name a file that was open already.
  return syscall === 'write' ? `a file cannot be written: ${error.message}` : undefined;
}

/** The innermost message without the statement, which the ORM puts in front of it and which may quote a visitor. */
function innerMessage(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && (inner.cause instanceof Error || inner instanceof AggregateError)) {
    inner = inner instanceof AggregateError ? inner.errors[0] : inner.cause;
  }
  const text = inner instanceof Error ? inner.message : String(inner);
  // OpenSSL ends its texts with a line break.
  return text.split(' - ').at(-1)?.trim().slice(0, 200) ?? '';
}
