import { readFileSync } from 'node:fs';

/** The release of this program. In the bundle, too, the file is two folders up. */
export function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
