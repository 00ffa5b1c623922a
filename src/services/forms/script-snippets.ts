import { readFileSync } from 'node:fs';
import { escapeHtml } from '../../escape-html.ts';
import { catalogueOf } from '../../languages/languages.ts';
import { languageOf } from './effective-settings.ts';
import { formParts, hostedCaptcha, type SnippetForm, type SnippetSettings, snippetFields } from './form-snippet.ts';

/** A form with a script of the page's own. With a captcha of ours the script has to be bundled. */
export function fetchSnippet(settings: SnippetSettings, form: SnippetForm): string {
  return fill('fetch.html', {
    id: [`${form.slug ?? 'contact'}-form`],
    address: [escapeHtml(form.address)],
    ...formParts(settings, form),
    ...solving(settings, form),
  });
}

/** A React component. With a hosted captcha, its widget has to be put into it. */
export function reactSnippet(settings: SnippetSettings, form: SnippetForm): string {
  const fields = snippetFields(settings, form);
  const kind = hostedCaptcha(form);
  const { pages } = catalogueOf(languageOf(settings, form, undefined));
  return fill('react.jsx', {
    leaveEmpty: [pages.leaveEmpty],
    send: [pages.send],
    labels: [fields.map(({ name, label }) => `${quote(name)}: ${quote(label)}`).join(', ')],
    address: [quote(form.address)],
    fields: fields.map(({ label, control }) => asJsx(`<label>${escapeHtml(label)} ${control}</label>`)),
    widget: kind ? [`{/* put the widget of ${kind} here: it adds a field to the form */}`] : [],
    ...solving(settings, form),
  });
}

/** JSX has other names of attributes, closes every element, and reads braces outside of attributes. */
function asJsx(html: string): string {
  return html
    .replaceAll(/(?<=>[^<]*)[{}]/g, (it) => `{'${it}'}`)
    .replaceAll(/\b(auto)c(?=omplete=)|\b(min|max)l(?=ength=)/g, (it) => it.slice(0, -1) + it.slice(-1).toUpperCase())
    .replace('rows="5"></textarea>', 'rows={5} />')
    .replace(/(<input [^>]*)>/, '$1 />');
}

/** Lines that put a solved captcha of ours into `body`. */
function solving({ publicUrl }: SnippetSettings, { slug, effective }: SnippetForm) {
  if (effective.captcha !== 'altcha') return { imports: [], solve: [] };
  const url = quote(`${publicUrl}/api/captcha${slug ? `?form=${slug}` : ''}`);
  return {
    imports: [
      "import { solveChallenge } from 'altcha-lib';",
      "import { deriveKey } from 'altcha-lib/algorithms/web/pbkdf2';",
    ],
    solve: [
      `const challenge = await (await fetch(${url})).json();`,
      'const solution = await solveChallenge({ challenge, deriveKey });',
      "body.set('altcha', btoa(JSON.stringify({ challenge, solution })));",
    ],
  };
}

/** Fills in an example. A name alone on a line becomes so many lines, perhaps none. */
function fill(file: string, values: Readonly<Record<string, readonly string[]>>): string {
  const text = readFileSync(new URL(`./examples/${file}.example`, import.meta.url), 'utf8').trimEnd();
  return text
    .replaceAll(/^( *)\{\{(\w+)\}\}\n/gm, (_, indent, name) =>
      (values[name] ?? []).map((line) => `${indent}${line}\n`).join(''),
    )
    .replaceAll(/\{\{(\w+)\}\}/g, (_, name) => values[name]?.[0] ?? '');
}

/** A JavaScript string. */
function quote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
}
