/**
 * Before `npm pack` the manifest is cut down to what an installed package needs (`slim`), and afterwards it is put back
 * (`restore`): the libraries are in the bundle, and listing them would have npm install them all once more.
 *
 * Where packing is killed in between, `node packaging/manifest.ts restore` puts it back. One at a time in one folder.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const manifest = fileURLToPath(new URL('../package.json', import.meta.url));
const aside = fileURLToPath(new URL('../.package.json.whole', import.meta.url));

const kept = [
  'name',
  'version',
  'description',
  'license',
  'type',
  'bin',
  'exports',
  'files',
  'engines',
  'optionalDependencies',
];

switch (process.argv[2]) {
  case 'slim':
    slim();
    break;
  case 'restore':
    restore();
    break;
  default:
    throw new Error('say "slim" or "restore"');
}

function slim(): void {
  restore();
  const text = readFileSync(manifest, 'utf8');
  const whole = JSON.parse(text) as Record<string, unknown>;
  const cut = {
    ...Object.fromEntries(kept.map((name) => [name, whole[name]])),
    scripts: { start: 'node bin/ruffinweb.js serve --migrate' },
  };
  writeFileSync(aside, text, { flag: 'wx' });
  const draft = `${manifest}.new-${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(cut, null, 2)}\n`);
  renameSync(draft, manifest);
}

function restore(): void {
  if (existsSync(aside)) renameSync(aside, manifest);
}
