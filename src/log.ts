import { createRequire } from 'node:module';
import type { DestinationStream, Logger } from 'pino';
import { openLogStream } from './log-stream.ts';

const load = createRequire(import.meta.url);

export type Log = Logger;

/**
 * Structured lines on stderr. They must never contain visitors' data: callers choose the fields to log, and of errors only
 * parts are logged that cannot quote a value.
 */
export function createLog(options: { level: string; format: 'json' | 'pretty' }, stream?: DestinationStream): Log {
  const { pino } = load('pino') as typeof import('pino');
  const format = options.format === 'pretty' ? openPrettyFormat() : undefined;
  const report = (lost: number) => log.warn({ lost }, 'log lines were lost: stderr could not be written');
  const log: Log = pino(
    {
      level: options.level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
    },
    stream ?? openLogStream(report, format),
  );
  return log;
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

function openPrettyFormat(): (line: string) => string {
  const { prettyFactory } = load('pino-pretty') as typeof import('pino-pretty');
  return prettyFactory({ ignore: 'pid,hostname', singleLine: true, translateTime: 'SYS:HH:MM:ss.l' });
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
