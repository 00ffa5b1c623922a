/**
 * `npm run build` creates `dist/`, the program that an installed package runs: one bundle with every library, so that an
 * installation needs no registry and a command does not have to read hundreds of files.
 *
 * The new folder is built beside the old one and then replaces it, so `dist/` is complete even if two builds run at once
 * or one is killed.
 */
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeProgram } from './write-program.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const draft = join(root, `dist.new-${process.pid}`);

try {
  await writeProgram(root, draft);
  replaceFolder(draft, join(root, 'dist'));
} finally {
  rmSync(draft, { recursive: true, force: true });
}

function replaceFolder(from: string, to: string): void {
  const aside = `${to}.old-${process.pid}`;
  for (;;) {
    try {
      renameSync(from, to);
      break;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      try {
        renameSync(to, aside);
      } catch (gone) {
        // Another build has moved it away first.
        if ((gone as NodeJS.ErrnoException).code !== 'ENOENT') throw gone;
      }
      rmSync(aside, { recursive: true, force: true });
    }
  }
}
