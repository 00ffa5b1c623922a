/**
 * Before `npm pack` the manifest is cut down to what an installed package needs (`slim`), and afterwards it is put back
 * (`restore`): the libraries are in the bundle, and listing them would have npm install them all once more.
 *
 * If packing fails or is killed in between, the next `npm pack` puts the manifest back first, and so does
 * `node packaging/manifest.js restore`. Pack one at a time in one folder.
 *
 * Like the launcher it has to be understood by Node 18: it runs before the packages are installed.
 */
import { existsSync, linkSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
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

function slim() {
  restore();
  const whole = JSON.parse(readFileSync(manifest, 'utf8'));
  const { prepack, postpack } = whole.scripts;
  const cut = {
    ...Object.fromEntries(kept.map((name) => [name, whole[name]])),
    // npm reads the scripts before it runs the first: without these two, packing again could not restore the manifest.
    scripts: { start: 'exec node bin/ruffinweb.js serve --migrate', prepack, postpack },
  };
  const draft = `${manifest}.new-${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(cut, null, 2)}\n`);
  // A second name for the same file: there is always a whole manifest, whenever this is killed.
  linkSync(manifest, aside);
  renameSync(draft, manifest);
}

function restore() {
  if (existsSync(aside)) renameSync(aside, manifest);
}
