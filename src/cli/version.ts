import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The release of this program. In the bundle, too, the file is two folders up. */
export function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** The JSON Schema of a file with forms, for editors. */
export function formSchemaPath(): string {
  return fileURLToPath(new URL('../../docs/reference/forms.schema.json', import.meta.url));
}
