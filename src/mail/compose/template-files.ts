import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TextFileFault } from '../../text-file.ts';
import { slugPattern } from '../../words.ts';
import { templateKinds } from './template-variables.ts';

export const parts = ['subject', 'text', 'html'] as const;
export const layout = 'layout.html.liquid';
const namesOf = (kinds: readonly string[]) =>
  new Set([layout, ...kinds.flatMap((kind) => parts.map((part) => `${kind}.${part}.liquid`))]);
const names = namesOf(templateKinds);
/** A summary of held messages is about all forms. */
const namesOfForm = namesOf(templateKinds.filter((kind) => kind !== 'held-summary'));

const builtInFolder = fileURLToPath(new URL('templates/', import.meta.url));

/** A template cannot be used. The message says which file, which line and why. */
export class TemplateFault extends Error {
  override name = 'TemplateFault';
}

/** The path of each template's file. */
export type TemplateFiles = ReadonlyMap<string, string>;

/**
 * The files of all forms, and by slug the files of the forms that have a folder: their own before the general ones, and these
 * before ours. A folder may be there before its form.
 *
 * @throws {TemplateFault}
 */
export function findTemplateFiles(folder: string | undefined): {
  general: TemplateFiles;
  ofForms: Map<string, TemplateFiles>;
} {
  const builtIn = [...names].map((name): [string, string] => [name, join(builtInFolder, name)]);
  if (folder === undefined) return { general: new Map(builtIn), ofForms: new Map() };
  const general = new Map([...builtIn, ...findOwn(folder, names)]);
  const ofForms = new Map<string, TemplateFiles>();
  for (const slug of readOrFault(folder, () => listFolder(folder))) {
    const path = join(folder, slug);
    // Hidden ones are nobody's templates: `.git`.
    const found = /^\.|\.liquid$/.test(slug)
      ? undefined
      : readOrFault(path, () => statSync(path, { throwIfNoEntry: false }));
    if (!found?.isDirectory()) continue;
    if (!slugPattern.test(slug)) {
      throw new TemplateFault(`${path}: not the slug of a form; name the folder after a form, such as contact`);
    }
    ofForms.set(slug, new Map([...general, ...findOwn(path, namesOfForm)]));
  }
  return { general, ofForms };
}

function findOwn(folder: string, known: ReadonlySet<string>): [name: string, path: string][] {
  const own = readOrFault(folder, () => listFolder(folder)).filter((name) => name.endsWith('.liquid'));
  return own.map((name) => {
    const path = join(folder, name);
    if (known.has(name) || name.startsWith('_')) return [name, path];
    throw new TemplateFault(
      `${path}: there is no template with this name; there are ${[...known].join(', ')}, and partials beginning with "_"`,
    );
  });
}

/** @returns nothing if the folder does not exist. */
function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

export function readOrFault<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TextFileFault) throw new TemplateFault(error.message);
    throw new TemplateFault(`${path}: cannot be read (${(error as Error).message})`);
  }
}
