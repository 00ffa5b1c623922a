/** In characters. Beyond it, lines are dropped and counted. */
const maxUnread = 1024 * 1024;

/** `warn` in pino. Lines of this level or higher are written at once. */
const urgentLevel = 40;

/** In characters. */
const maxGathered = 64 * 1024;

/** Takes lines from pino, which sets `lastLevel` before each. */
export interface LogStream {
  lastLevel: number;
  write(line: string): void;
}

/**
 * Writes lines to stderr and never waits for its reader: a log collector or terminal that stops reading must not stop the
 * server. Informational lines are written together at the end of the event loop's turn, because one write per line is slow
 * under load. A warning is written at once, after the lines before it.
 *
 * @param report tells how many lines were lost, once lines can be written again.
 * @param format makes a line readable; without it, lines are JSON.
 */
export function openLogStream(report: (lost: number) => void, format = (line: string) => line): LogStream {
  const stderr = openStderr();
  let lines = '';
  let lost = 0;

  function flush(): void {
    if (lines === '') return;
    const written = lines;
    const count = written.split('\n').length - 1;
    lines = '';
    process.off('exit', flush);
    if (stderr.writableLength > maxUnread) {
      lost += count;
      return;
    }
    stderr.write(written, (error) => {
      // A full disk or a closed pipe behind stderr must not end the server.
      if (error) lost += count;
      else if (lost > 0 && stderr.writableLength <= maxUnread) {
        const told = lost;
        lost = 0;
        report(told);
      }
    });
  }

  return {
    // Makes pino set `lastLevel`.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(line: string) {
      if (lines === '') {
        setImmediate(flush);
        process.on('exit', flush);
      }
      lines += format(line);
      if (this.lastLevel >= urgentLevel || lines.length > maxGathered) flush();
    },
  } as LogStream;
}

/** Node writes to pipes and sockets without blocking, but makes terminals block; it has no public way to change that. */
function openStderr(): NodeJS.WriteStream {
  const { stderr } = process;
  const { _handle: handle } = stderr as { _handle?: { setBlocking?(isBlocking: boolean): void } };
  if (stderr.isTTY) handle?.setBlocking?.(false);
  if (stderr.listenerCount('error') === 0) stderr.on('error', () => {});
  return stderr;
}
