import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

/** The licences of every package in the bundle; each must be distributed with it. */
export function collectLicences(root: string, bundled: Metafile['inputs']): string {
  const folders = new Set(
    Object.keys(bundled).flatMap((path) => (path.startsWith('builtin:') ? [] : (packageFolder(path) ?? []))),
  );
  const texts = new Map([...folders].map((folder) => describePackage(join(root, folder))));
  const sorted = [...texts].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `The program contains parts of these packages.\n${sorted.map(([name, text]) => `\n==== ${name}\n\n${text}\n`).join('')}`;
}

/** `node_modules/a/node_modules/@b/c/lib/x.js` belongs to `node_modules/a/node_modules/@b/c`. */
function packageFolder(path: string): string | undefined {
  return /^(.*\bnode_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
}

function describePackage(folder: string): [name: string, text: string] {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license?: string;
  };
  const file = readdirSync(folder).find((it) => /^licen[cs]e(\.(md|txt))?$/i.test(it));
  if (file === undefined && license === undefined) throw new Error(`${folder} names no licence`);
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim();
  return [`${name} ${version}`, [license ?? '', text].filter((it) => it !== '').join('\n\n')];
}
