import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './program.ts';

/** A pipe whose reader has stopped: it takes 64 KiB. Node's own pipes to children are sockets. */
export interface UnreadPipe extends AsyncDisposable {
  /** Its writing end, to pass to a program. */
  readonly fd: number;
  /** Its reader goes: a write fails. */
  leave(): void;
  /** Takes what is in it. */
  read(): string;
}

export async function openUnreadPipe(): Promise<UnreadPipe> {
  const folder = await temporaryFolder();
  const path = join(folder.path, 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const fd = openSync(path, 'w');
  let isRead = true;
  const leave = () => {
    if (isRead) closeSync(reader);
    isRead = false;
  };
  return {
    fd,
    leave,
    read() {
      const bytes = Buffer.alloc(64 * 1024);
      return bytes.toString('utf8', 0, readSync(reader, bytes));
    },
    async [Symbol.asyncDispose]() {
      closeSync(fd);
      leave();
      await folder[Symbol.asyncDispose]();
    },
  };
}
