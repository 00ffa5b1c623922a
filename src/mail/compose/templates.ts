import { Liquid, type Template } from 'liquidjs';
import { readTextFile } from '../../text-file.ts';
import { timeWriter } from '../../time-zone.ts';
import { type Language, languages } from '../../words.ts';
import { escapeHtml } from './html.ts';
import { wrap } from './plain-text.ts';
import { findTemplateFiles, parts, readOrFault, TemplateFault, type TemplateFiles } from './template-files.ts';
import { examples, optional, type TemplateKind, templateKinds, type Value } from './template-variables.ts';

type ValuesOf<K extends TemplateKind> = Readonly<Record<keyof (typeof examples)[K], Value>>;
type Rendered = Record<(typeof parts)[number], string>;

/** The templates of all forms, or of one form that has its own. */
interface TemplateSet {
  /** The path of each template's file. */
  readonly files: TemplateFiles;
  render<K extends TemplateKind>(kind: K, values: ValuesOf<K>): Rendered;
}

export interface Templates extends TemplateSet {
  /** The templates of a form. */
  of(formSlug: string): TemplateSet;
  /** A time for people, in the zone that the mails have. */
  writeTime(at: Date, language?: Language): string;
}

/**
 * Reads, parses and tries all templates. The operator's files replace ours with the same name, and may include files whose
 * names begin with `_`. Nothing is read from disk afterwards, so templates cannot reach other files.
 *
 * @throws {TemplateFault} for the first template that does not parse, uses an unknown variable, filter or file, or has an
 *   unknown name.
 */
export function openTemplates(options: { overrideFolder?: string; timeZone?: string } = {}): Templates {
  const { general, ofForms } = findTemplateFiles(options.overrideFolder);
  const set = openSet(general);
  const sets = new Map([...ofForms].map(([slug, files]) => [slug, openSet(files)]));
  const writers = Object.fromEntries(languages.map((it) => [it, timeWriter(options.timeZone ?? 'UTC', it)]));
  return {
    ...set,
    of: (formSlug) => sets.get(formSlug) ?? set,
    writeTime: (at, language = 'en') => writers[language]?.(at) ?? '',
  };
}

function openSet(files: TemplateFiles): TemplateSet {
  const sources: Record<string, string> = Object.create(null);
  for (const [name, path] of files) sources[name] = readOrFault(path, () => readTextFile(path));

  const engines = { html: createEngine(sources, escapeHtml), plain: createEngine(sources) };
  // No template may skip the escaping.
  delete engines.html.filters.raw;
  engines.plain.registerFilter('wrap', wrap);

  const parsed = new Map<string, Template[]>();
  const engineOf = (name: string) => (name.endsWith('.html.liquid') ? engines.html : engines.plain);
  const names = templateKinds.flatMap((kind) => parts.map((part) => `${kind}.${part}.liquid`));
  for (const name of names) explained(files, name, () => parsed.set(name, engineOf(name).parseFileSync(name)));

  function renderPart(name: string, values: ValuesOf<TemplateKind>): string {
    return explained(files, name, () => engineOf(name).renderSync(parsed.get(name) ?? [], values));
  }
  const set: TemplateSet = {
    files,
    render: (kind, values) => ({
      subject: renderPart(`${kind}.subject.liquid`, values).trim(),
      text: `${renderPart(`${kind}.text.liquid`, values).trim()}\n`,
      html: renderPart(`${kind}.html.liquid`, values),
    }),
  };

  for (const kind of templateKinds) {
    for (const part of parts) {
      const name = `${kind}.${part}.liquid`;
      refuseUnknownVariables(files, name, engineOf(name), parsed.get(name) ?? [], kind);
    }
    for (const language of languages) {
      const example = { ...examples[kind], language };
      set.render(kind, example);
      set.render(kind, withoutOptional(example));
    }
  }
  return set;
}

/** In characters and items, for all values of a mail: a loop over a thousand million numbers is a fault of its template. */
const maxMemory = 10_000_000;

function createEngine(sources: Record<string, string>, outputEscape?: (value: unknown) => string): Liquid {
  return new Liquid({
    templates: sources,
    strictVariables: true,
    strictFilters: true,
    cache: true,
    memoryLimit: maxMemory,
    ...(outputEscape && { outputEscape }),
  });
}

function refuseUnknownVariables(
  files: TemplateFiles,
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

function withoutOptional<V extends Readonly<Record<string, Value>>>(values: V): V {
  const missing = Object.keys(values).filter((name) => optional.includes(name));
  return {
    ...values,
    ...Object.fromEntries(missing.map((name) => [name, null])),
    ...('extra' in values ? { extra: [] } : {}),
  };
}

/** Turns errors of liquidjs into ones that name the file as the operator knows it. */
function explained<T>(files: TemplateFiles, name: string, run: () => T): T {
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
