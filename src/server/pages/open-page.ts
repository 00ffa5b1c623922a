import { fileURLToPath } from 'node:url';
import { Liquid } from 'liquidjs';
import { escapeHtml } from '../../escape-html.ts';
import { catalogueOf, fill } from '../../languages/languages.ts';
import type { Language } from '../../words.ts';
import { paintCode, prose } from './markup.ts';

export type Page<Values = Record<string, unknown>> = (values: Values) => string;

/** The path of the public address: empty, or without a final slash. */
export function basePathOf(publicUrl: string): string {
  return new URL(publicUrl).pathname.replace(/\/$/, '');
}

/**
 * Reads and parses templates once; rendering does no I/O. Each template gets the base path, the host, the language (English for
 * pages of developers), and its sentences as `words`: `{{ words.back | fill: host: back.host }}`.
 */
export function pageOpener(publicUrl: string): <Values extends object>(name: string) => Page<Values> {
  const liquid = new Liquid({
    root: fileURLToPath(new URL('./liquid/', import.meta.url)),
    extname: '.liquid',
    outputEscape: (value) => escapeHtml(String(value ?? '')),
    strictVariables: true,
    strictFilters: true,
    cache: true,
  });
  liquid.registerFilter('paint', { handler: paintCode, raw: true });
  liquid.registerFilter('prose', { handler: prose, raw: true });
  liquid.registerFilter('fill', (sentence: string, ...values: [string, unknown][]) =>
    fill(sentence, Object.fromEntries(values.map(([name, value]) => [name, String(value)]))),
  );
  const common = { base_path: basePathOf(publicUrl), site_host: new URL(publicUrl).host };
  return (name) => {
    const template = liquid.parseFileSync(name);
    return (values) => {
      const { language = 'en' } = values as { language?: Language };
      return liquid.renderSync(template, {
        ...common,
        language,
        words: catalogueOf(language).pages,
        ...values,
      }) as string;
    };
  };
}

/** The token of a signed link; empty if there is none. A page contains it, so it may only have these characters. */
export function tokenOf({ query: { token } }: { query: Readonly<Record<string, unknown>> }): string {
  return typeof token === 'string' && /^[\w.-]{1,200}$/.test(token) ? token : '';
}
