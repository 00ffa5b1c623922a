import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '../../problems.ts';
import { Refusal } from '../terminal/confirm.ts';

export const migrationsFolder = fileURLToPath(new URL('../../database/migrations', import.meta.url));

/**
 * Writes an empty migration and adds it to the list of all.
 *
 * @returns the path of the new file.
 * @throws {Problem} argument-invalid
 * @throws {Refusal} in an installed package, which has no sources.
 */
export async function createMigration(folder: string, name: string, now: Date): Promise<string> {
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name) || name.length > 60) {
    throw new Problem(
      'argument-invalid',
      `"${name}" cannot be a migration's name: use lower-case letters, digits and _, as in add_block_list`,
    );
  }
  const listFile = join(folder, 'index.ts');
  const list = await readFile(listFile, 'utf8').catch(() => undefined);
  if (list === undefined) throw new Refusal('this is an installed package: write migrations in a clone of the sources');
  const className = name.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
  if (new RegExp(`\\b${className}\\b`).test(list)) {
    throw new Refusal(`there is already a migration ${className}: choose another name`);
  }
  const fileName = `${now.toISOString().replace(/\D/g, '').slice(0, 14)}_${name}`;
  const path = join(folder, `${fileName}.ts`);
  await writeFile(path, emptyMigration(className), { flag: 'wx' });
  const changed = list
    .replace(/(?:^import .*\n)+/m, (imports) => `${imports}import { ${className} } from './${fileName}.ts';\n`)
    .replace(/\n\];?/, (end) => `\n  { name: '${fileName}', class: ${className} },${end}`);
  await writeFile(listFile, changed);
  return path;
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
