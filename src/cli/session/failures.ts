import { isOutage } from '../../database/outage.ts';
import { Problem, type ProblemCode } from '../../problems.ts';
import { needWords } from './advice.ts';
import { exitCode, exitCodeOf, exitCodeOfName } from './exit-codes.ts';

/** How a command ends that threw, and what the operator is told. */
export interface Failure {
  exitCode: number;
  /** What was wrong, and where we know it, what fixes it. Undefined for an error that we did not expect. */
  message: string | undefined;
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof Problem) {
    const hint = hints[error.code];
    const said = hint ? `${error.message}: see "${hint}"` : error.message;
    return { exitCode: exitCodeOf[error.code], message: error.needs ? said + needWords[error.needs] : said };
  }
  if (!(error instanceof Error)) return { exitCode: exitCode.ourFault, message: undefined };
  const known = exitCodeOfName[error.name];
  if (known !== undefined) {
    const more = error.name === 'KeysWrong' ? ' ("ruffinweb encryption status" counts what needs each key)' : '';
    return { exitCode: known, message: error.message + more };
  }
  const explained = explainDatabase(error) ?? explainSystem(error);
  return { exitCode: explained === undefined ? exitCode.ourFault : exitCode.refused, message: explained };
}

/** The command that shows what there is. */
const hints: Partial<Record<ProblemCode, string>> = {
  'sender-unknown': 'ruffinweb senders list',
  'message-unknown': 'ruffinweb messages list',
  'email-unknown': 'ruffinweb emails list',
  'form-unknown': 'ruffinweb forms list',
  'key-unknown': 'ruffinweb keys list',
  'keys-wrong': 'ruffinweb encryption rotate --help',
};

/** What the database's refusals mean for an operator, by SQLSTATE (PostgreSQL manual, appendix A). */
const databaseRefusals: Readonly<Record<string, string>> = {
  '28000': 'the database does not let us in: fix the user or the sslmode in DATABASE_URL',
  '28P01': 'the database refuses the login: fix the user and the password in DATABASE_URL',
  '3D000': 'there is no such database: create it, or fix its name in DATABASE_URL',
  '42501': 'the database refuses this to our user: grant it, or run the command as the owner of the tables',
};

/** @returns undefined for an error that is not about reaching the database. */
export function explainDatabase(error: unknown): string | undefined {
  for (let it = error; it instanceof Error; it = it.cause) {
    const { code } = it as { code?: unknown };
    const refusal = typeof code === 'string' ? databaseRefusals[code] : undefined;
    if (refusal !== undefined) return refusal;
  }
  if (!isOutage(error)) return undefined;
  const answered = explainAnswer(error);
  if (answered !== undefined) return answered;
  const parameter = /unsupported startup parameter: (\w+)/.exec(firstWords(error))?.[1];
  if (parameter !== undefined)
    return `PgBouncer refuses ${parameter}: add it to ignore_startup_parameters, as deploy/pgbouncer/pgbouncer.ini has it`;
  return `the database does not answer (${firstWords(error)}): is it running, and is DATABASE_URL right?`;
}

/** What a database means that has answered, but not done it (PostgreSQL manual, appendix A). */
const answers: readonly [sqlState: RegExp, fact: string, fix: string][] = [
  [/^53100$/, 'the disk of the database is full', 'make room there, and run this again'],
  [/^53/, 'the database is short of something', 'see what fills it up, and run this again'],
  [
    /^25006$/,
    'the database takes no writes',
    'let DATABASE_URL name the primary, or set default_transaction_read_only to off',
  ],
  [/^(?:55P03|57014|40...)$/, 'the database was kept from it', 'run this again'],
];

function explainAnswer(error: unknown): string | undefined {
  for (let it = error; it instanceof Error; it = it.cause) {
    const { code } = it as { code?: unknown };
    const answer = typeof code === 'string' ? answers.find(([sqlState]) => sqlState.test(code)) : undefined;
    if (answer !== undefined) return `${answer[1]} (${firstWords(error)}): ${answer[2]}`;
  }
  return undefined;
}

/** What the system says of files and folders that the operator has named or has to look after. */
const fileFaults = new Set(
  'EACCES EPERM EROFS ENOSPC EDQUOT ENOENT ENOTDIR EISDIR EEXIST ELOOP ENAMETOOLONG'.split(' '),
);

function explainSystem(error: Error): string | undefined {
  const { code, syscall, port, path } = error as NodeJS.ErrnoException & { port?: number };
  if (syscall === 'listen' && code === 'EADDRINUSE')
    return `port ${port} is taken: stop what listens there, or set PORT`;
  if (syscall === 'listen') return `cannot listen on port ${port} (${code}): set HOST and PORT`;
  if (path !== undefined && fileFaults.has(code ?? '')) {
    return `${path} cannot be used: ${error.message}`;
  }
  // Of a file that is open already it does not say which.
  if (syscall === 'write' && fileFaults.has(code ?? '')) return `a file cannot be written: ${error.message}`;
  return undefined;
}

/** Without what an error could quote: the ORM puts the whole statement in front of what the database said. */
function firstWords(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && (inner.cause instanceof Error || inner instanceof AggregateError)) {
    inner = inner instanceof AggregateError ? inner.errors[0] : inner.cause;
  }
  const text = inner instanceof Error ? inner.message : String(inner);
  return text.split(' - ').at(-1)?.slice(0, 200) ?? '';
}
