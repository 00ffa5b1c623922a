import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleProgram } from './bundle.ts';
import { collectLicences } from './licences.ts';

/** Folders that the program reads at run time. In `dist/` they are beside the bundle, under their last name. */
const folders = [
  'src/mail/compose/templates',
  'src/server/pages/liquid',
  'src/server/pages/assets',
  'src/services/forms/examples',
];

/** Writes the content of `dist/` to `folder`. */
export async function writeProgram(root: string, folder: string): Promise<void> {
  const bundled = await bundleProgram(root, join(folder, 'cli'));
  for (const from of folders) {
    cpSync(join(root, from), join(folder, 'cli', from.split('/').at(-1) ?? ''), {
      recursive: true,
      filter: (source) => !source.endsWith('.ts'),
    });
  }
  writeFileSync(join(folder, 'third-party-licences.txt'), collectLicences(root, bundled));
}
