import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '../../../problems.ts';
import { Refusal } from '../../terminal/confirm.ts';

export const migrationsFolder = fileURLToPath(new URL('../../../database/migrations', import.meta.url));

/**
 * Writes an empty migration and adds it to the list of all.
 *
 * @returns the path of the new file.
 * @throws {Problem} argument-invalid
 * @throws {Refusal} where this is an installed package, whose sources are not here.
 */
export async function createMigration(folder: string, name: string, now: Date): Promise<string> {
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name) || name.length > 60) {
    throw new Problem(
      'argument-invalid',
      `"${name}" cannot be a migration's name: use small letters, digits and _, as in add_block_list`,
    );
  }
  const listFile = join(folder, 'index.ts');
  const list = await readFile(listFile, 'utf8').catch(() => undefined);
  if (list === undefined) {
    throw new Refusal('migrations are written in a checkout of the sources; this is an installed package');
  }
  const stamp = now.toISOString().replace(/\D/g, '').slice(0, 14);
  const fileName = `${stamp}_${name}`;
  const className = name.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
  const changed = addToList(list, fileName, className);
  const path = join(folder, `${fileName}.ts`);
  await writeFile(path, emptyMigration(className), { flag: 'wx' });
  await writeFile(listFile, changed);
  return path;
}

function addToList(list: string, fileName: string, className: string): string {
  if (new RegExp(`\\b${className}\\b`).test(list)) {
    throw new Refusal(`there is already a migration ${className}: choose another name`);
  }
  const imports = [...list.matchAll(/^import .*$/gm)].at(-1);
  const end = list.lastIndexOf(']');
  if (imports === undefined || end < 0)
    throw new Error('src/database/migrations/index.ts is not the list it should be');
  const afterImports = imports.index + imports[0].length;
  const entry = `{ name: '${fileName}', class: ${className} }`;
  const before = list.slice(afterImports, end).trimEnd().replace(/,$/, '');
  return `${list.slice(0, afterImports)}\nimport { ${className} } from './${fileName}.ts';${before},\n  ${entry},\n${list.slice(end)}`;
}

function emptyMigration(className: string): string {
  return `import { Migration } from '@mikro-orm/migrations';

export class ${className} extends Migration {
  override up(): void {
    this.addSql(\`\`);
  }

  override down(): void {
    this.addSql(\`\`);
  }
}
`;
}
