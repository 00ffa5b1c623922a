/**
 * `npm run build`: makes `dist/`, the program as an installed package runs it. One bundle with every library in it, so
 * that the packed file needs no registry, and a command does not read hundreds of files before it does anything.
 *
 * The folder is built beside the old one and then put in its place: it is never half a program, also where two build
 * at once or one is killed.
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
        // Another build was quicker in taking it away.
        if ((gone as NodeJS.ErrnoException).code !== 'ENOENT') throw gone;
      }
      rmSync(aside, { recursive: true, force: true });
    }
  }
}
