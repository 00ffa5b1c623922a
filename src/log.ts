import { createRequire } from 'node:module';
import type { DestinationStream, Logger } from 'pino';

const load = createRequire(import.meta.url);

export type Log = Logger;

/**
 * Structured lines on stderr. They must never contain visitors' data: callers choose the fields to log, and of errors only
 * parts are logged that cannot quote a value.
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

/** Creates the log when it is first used: most commands log nothing, and loading pino is slow. */
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

/** `warn` in pino. Lines of this level or higher are written at once. */
const urgentLevel = 40;

/** In characters. */
const maxGathered = 64 * 1024;

/**
 * Writes informational lines together at the end of the event loop's turn, because one write per line is slow under load. A
 * warning is written at once, after the lines before it.
 */
function gathered(stream: DestinationStream): DestinationStream {
  let lines = '';
  const flush = () => {
    if (lines === '') return;
    const written = lines;
    lines = '';
    process.off('exit', flush);
    stream.write(written);
  };
  return {
    // Makes pino set `lastLevel` before each line.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(line: string) {
      if (lines === '') {
        setImmediate(flush);
        process.on('exit', flush);
      }
      lines += line;
      if (this.lastLevel >= urgentLevel || lines.length > maxGathered) flush();
    },
  } as DestinationStream & { lastLevel: number };
}

/** `pino-pretty` in this process, so that no line is lost when it ends. */
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

/** Leaves out what may quote a visitor: drivers attach statements with values, conflicting rows and raw bodies. */
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

/** The ORM's messages are `<statement with values> - <the database's message>`. */
function withoutStatement(error: Error): string {
  const isQueryError = 'sqlState' in error || 'sqlMessage' in error || error.name.endsWith('Exception');
  return isQueryError ? (error.message.split(' - ').at(-1) ?? '') : error.message;
}

function framesOf(error: Error): string[] {
  const lines = error.stack?.split('\n').filter((line) => line.startsWith('    at ')) ?? [];
  return lines.slice(0, 6).map((line) => line.trim().slice(3));
}
