import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Liquid, type Template } from 'liquidjs';
import { readTextFile, TextFileFault } from '../../text-file.ts';
import { timeWriter } from '../../time-zone.ts';
import { escapeHtml } from './html.ts';
import { examples, optional, type TemplateKind, templateKinds, type Value, type Values } from './template-variables.ts';

const parts = ['subject', 'text', 'html'] as const;
const layout = 'layout.html.liquid';
const names = new Set([layout, ...templateKinds.flatMap((kind) => parts.map((part) => `${kind}.${part}.liquid`))]);

/** A template cannot be used. The message says which file, which line and why. */
export class TemplateFault extends Error {
  override name = 'TemplateFault';
}

export interface Templates {
  /** The path of each template's file. */
  readonly files: ReadonlyMap<string, string>;
  render<K extends TemplateKind>(
    kind: K,
    values: Readonly<Record<keyof (typeof examples)[K], Value>>,
  ): { subject: string; text: string; html: string };
  /** A time for people, in the zone that the mails have. */
  writeTime(at: Date): string;
  /** Renders with the example of each variable. */
  preview(kind: TemplateKind): { subject: string; text: string; html: string };
}

/**
 * Reads, parses and tries all templates. The operator's files replace ours with the same name, and may include files whose
 * names begin with `_`. Nothing is read from disk afterwards, so templates cannot reach other files.
 *
 * @throws {TemplateFault} for the first template that does not parse, uses an unknown variable, filter or file, or has an
 *   unknown name.
 */
export function openTemplates(options: { overrideFolder?: string; timeZone?: string } = {}): Templates {
  const files = findFiles(options.overrideFolder);
  const sources: Record<string, string> = Object.create(null);
  for (const [name, path] of files) sources[name] = readOrFault(path, () => readTextFile(path));

  const engines = { html: createEngine(sources, escapeHtml), plain: createEngine(sources) };
  // No template may skip the escaping.
  delete engines.html.filters.raw;

  const parsed = new Map<string, Template[]>();
  const engineOf = (name: string) => (name.endsWith('.html.liquid') ? engines.html : engines.plain);
  for (const name of names) {
    if (name === layout) continue;
    explained(files, name, () => parsed.set(name, engineOf(name).parseFileSync(name)));
  }

  function renderPart(name: string, values: Values): string {
    return explained(files, name, () => engineOf(name).renderSync(parsed.get(name) ?? [], values));
  }
  const templates: Templates = {
    files,
    writeTime: timeWriter(options.timeZone ?? 'UTC'),
    render: (kind, values) => ({
      subject: renderPart(`${kind}.subject.liquid`, values).trim(),
      text: `${renderPart(`${kind}.text.liquid`, values).trim()}\n`,
      html: renderPart(`${kind}.html.liquid`, values),
    }),
    preview: (kind) => templates.render(kind, examples[kind]),
  };

  for (const kind of templateKinds) {
    for (const part of parts) {
      const name = `${kind}.${part}.liquid`;
      refuseUnknownVariables(files, name, engineOf(name), parsed.get(name) ?? [], kind);
    }
    templates.render(kind, examples[kind]);
    templates.render(kind, withoutOptional(examples[kind]));
  }
  return templates;
}

const ownFolder = fileURLToPath(new URL('templates/', import.meta.url));

function findFiles(overrideFolder: string | undefined): Map<string, string> {
  const files = new Map<string, string>([...names].map((name) => [name, join(ownFolder, name)]));
  const folder = overrideFolder ?? '';
  for (const name of overrideFolder === undefined ? [] : readOrFault(folder, () => listFolder(folder))) {
    if (!name.endsWith('.liquid')) continue;
    const path = join(folder, name);
    if (!names.has(name) && !name.startsWith('_')) {
      throw new TemplateFault(
        `${path}: there is no template with this name; there are ${[...names].join(', ')}, and partials beginning with "_"`,
      );
    }
    files.set(name, path);
  }
  return files;
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

function readOrFault<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TextFileFault) throw new TemplateFault(error.message);
    throw new TemplateFault(`${path}: cannot be read (${(error as Error).message})`);
  }
}

function createEngine(sources: Record<string, string>, outputEscape?: (value: unknown) => string): Liquid {
  return new Liquid({
    templates: sources,
    strictVariables: true,
    strictFilters: true,
    cache: true,
    ...(outputEscape && { outputEscape }),
  });
}

function refuseUnknownVariables(
  files: ReadonlyMap<string, string>,
  name: string,
  engine: Liquid,
  template: Template[],
  kind: TemplateKind,
): void {
  const known = Object.keys(examples[kind]);
  const { globals } = explained(files, name, () => engine.analyzeSync(template));
  for (const [variable, uses] of Object.entries(globals)) {
    if (known.includes(variable)) continue;
    const { file, row } = uses[0]?.location ?? { row: 0 };
    const path = files.get(file ?? name) ?? file ?? name;
    throw new TemplateFault(
      `${path}, line ${row}: unknown variable "${variable}"; a template of ${kind} may use ${known.join(', ')}`,
    );
  }
}

function withoutOptional<V extends Values>(values: V): V {
  const missing = Object.keys(values).filter((name) => optional.includes(name));
  return {
    ...values,
    ...Object.fromEntries(missing.map((name) => [name, null])),
    ...('extra' in values ? { extra: [] } : {}),
  };
}

/** Turns errors of liquidjs into ones that name the file as the operator knows it. */
function explained<T>(files: ReadonlyMap<string, string>, name: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof TemplateFault) throw error;
    const { message, token } = error as Error & { token?: { file?: string; getPosition?: () => [number, number] } };
    const file = token?.file ?? name;
    const line = token?.getPosition?.()[0];
    const reason = message.replace(/, file:.*$|, line:\d+.*$/s, '');
    throw new TemplateFault(`${files.get(file) ?? file}${line ? `, line ${line}` : ''}: ${reason}`, { cause: error });
  }
}
