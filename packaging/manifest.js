/**
 * Before `npm pack`, `slim` reduces package.json to what an installed package needs, and `restore` puts it back afterwards.
 * The libraries are in the bundle; if package.json listed them, npm would install them all again.
 *
 * If packing fails or is killed, the next `npm pack` restores the file first, and so does
 * `node packaging/manifest.js restore`. Run one `npm pack` at a time in a folder.
 *
 * Like the launcher, it must run under Node 18, before the packages are installed.
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
    throw new Error('pass "slim" or "restore"');
}

function slim() {
  restore();
  const whole = JSON.parse(readFileSync(manifest, 'utf8'));
  const { prepack, postpack } = whole.scripts;
  const cut = {
    ...Object.fromEntries(kept.map((name) => [name, whole[name]])),
    // npm reads the scripts before it runs the first one. Without these two, another `npm pack` could not restore the file.
    scripts: { start: 'exec node bin/ruffinweb.js serve --migrate', prepack, postpack },
  };
  const draft = `${manifest}.new-${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(cut, null, 2)}\n`);
  // A second name for the same file, so that the whole file exists whenever this is killed.
  linkSync(manifest, aside);
  renameSync(draft, manifest);
}

function restore() {
  if (existsSync(aside)) renameSync(aside, manifest);
}
