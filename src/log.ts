import { createRequire } from 'node:module';
import type { DestinationStream, Logger } from 'pino';

const load = createRequire(import.meta.url);

export type Log = Logger;

/**
 * Structured lines on stderr. What a visitor gave never belongs in one: callers name the fields they log, and
 * of an error only what cannot quote a value is kept.
 */
export function createLog(options: { level: string; format: 'json' | 'pretty' }, stream?: DestinationStream): Log {
  const { pino } = loadPino();
  return pino(
    {
      level: options.level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
    },
    stream ?? (options.format === 'pretty' ? prettyStream() : stderrStream()),
  );
}

/** The log that `make` makes, once a line is written: most commands write none, and loading pino takes a while. */
export function logWhenUsed(make: () => Log): Log {
  let made: Log | undefined;
  return new Proxy({} as Log, {
    get(_, name) {
      made ??= make();
      const found: unknown = Reflect.get(made, name);
      return typeof found === 'function' ? found.bind(made) : found;
    },
  });
}

function loadPino() {
  return load('pino') as typeof import('pino');
}

function stderrStream(): DestinationStream {
  const stream = loadPino().destination({ dest: 2, sync: true });
  // A full disk or a closed pipe behind stderr must not end the server.
  stream.on('error', () => {});
  return gathered(stream);
}

/** From here on a line is more than information; pino's number for `warn`. */
const urgent = 40;

/** In characters. */
const mostGathered = 64 * 1024;

/**
 * What only informs leaves together, at the end of the turn of the event loop in which it was logged: under load a
 * write for each line is a good part of a server's work. A warning leaves at once, with all that was logged before it.
 */
function gathered(stream: DestinationStream): DestinationStream {
  let lines = '';
  const leave = () => {
    if (lines === '') return;
    const leaving = lines;
    lines = '';
    process.off('exit', leave);
    stream.write(leaving);
  };
  return {
    // Has pino set the number of each line's level before it is written.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(line: string) {
      if (lines === '') {
        setImmediate(leave);
        process.on('exit', leave);
      }
      lines += line;
      if (this.lastLevel >= urgent || lines.length > mostGathered) leave();
    },
  } as DestinationStream & { lastLevel: number };
}

/** Loaded only where someone reads along: `pino-pretty` in this process, so that nothing is lost at the end. */
function prettyStream(): DestinationStream {
  const { build } = load('pino-pretty') as typeof import('pino-pretty');
  return build({
    destination: 2,
    sync: true,
    ignore: 'pid,hostname',
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
  });
}

/**
 * An error without what it could quote: drivers put statements with their values, details of conflicting rows
 * and raw bodies on theirs.
 */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const code = (error as { code?: unknown }).code;
  return {
    type: error.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    message: withoutStatement(error),
    at: framesOf(error),
    ...(error.cause instanceof Error ? { cause: describeError(error.cause) } : {}),
  };
}

/** The ORM's messages are `<statement with values> - <what the database said>`. */
function withoutStatement(error: Error): string {
  const isQueryError = 'sqlState' in error || 'sqlMessage' in error || error.name.endsWith('Exception');
  return isQueryError ? (error.message.split(' - ').at(-1) ?? '') : error.message;
}

function framesOf(error: Error): string[] {
  const lines = error.stack?.split('\n').filter((line) => line.startsWith('    at ')) ?? [];
  return lines.slice(0, 6).map((line) => line.trim().slice(3));
}
