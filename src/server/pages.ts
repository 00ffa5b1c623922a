import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Liquid } from 'liquidjs';
import type { Config } from '../config.ts';
import type { ProblemDetails } from './problem-details.ts';

/** The pages a visitor or a newcomer sees. Each returns a whole HTML document. */
export interface Pages {
  readonly style: string;
  landing(): string;
  thanks(receipt: string | undefined): string;
  /**
   * For any refusal. Where fields are at fault it is a form with what was posted to `action`, to be corrected;
   * every 5xx has the same page.
   */
  problem(details: ProblemDetails, posted: ReadonlyMap<string, unknown> | undefined, action: string): string;
}

const folder = new URL('./pages/', import.meta.url);

/** Reads and parses the templates once; rendering is without I/O. */
export function openPages(config: Config): Pages {
  const liquid = new Liquid({
    root: fileURLToPath(folder),
    extname: '.liquid',
    outputEscape: 'escape',
    strictVariables: true,
    strictFilters: true,
    cache: true,
  });
  const basePath = new URL(config.publicUrl).pathname.replace(/\/$/, '');
  const page = (name: string) => {
    const template = liquid.parseFileSync(name);
    return (values: Record<string, unknown>): string =>
      liquid.renderSync(template, { base_path: basePath, ...values }) as string;
  };
  const [landing, thanks, correct, problem] = [page('landing'), page('thanks'), page('correct'), page('problem')];
  return {
    style: readFileSync(new URL('style.css', folder), 'utf8'),
    landing: () => landing({ public_url: config.publicUrl, title: 'ruffinweb' }),
    thanks: (receipt) =>
      thanks({
        receipt: receipt ?? '',
        title: 'Thank you',
        // Where mail only goes to files, and nobody else's is shown.
        mailbox: config.smtp === undefined && !config.production,
      }),
    problem: (details, posted, action) =>
      details.code === 'fields-invalid' && posted !== undefined
        ? correct({ title: details.title, action, ...correctable(details, posted) })
        : problem({ title: details.title, ...pageOf(details) }),
  };
}

function pageOf(details: ProblemDetails) {
  const ours = details.status >= 500;
  return {
    status: details.status,
    heading: details.status === 404 ? 'Nothing here' : ours ? 'That did not work' : details.title,
    detail: ours
      ? 'Your message was not stored. The fault is on our side; please try again in a few minutes.'
      : details.status === 404
        ? 'There is no page at this address.'
        : `${details.detail[0]?.toUpperCase()}${details.detail.slice(1)}.`,
    request_id: ours ? details.requestId : '',
  };
}

const knownFields = [
  { name: 'name', label: 'Name', type: 'text', autocomplete: 'name' },
  { name: 'email', label: 'E-mail', type: 'email', autocomplete: 'email' },
  { name: 'subject', label: 'Subject', type: 'text', autocomplete: 'off' },
  { name: 'message', label: 'Message', type: 'textarea', autocomplete: 'off' },
];

/** Everything that was typed, each field with what is wrong with it. */
function correctable(details: ProblemDetails, posted: ReadonlyMap<string, unknown>) {
  const faultOf = (name: string) => details.errors?.find((it) => it.field === name)?.message ?? '';
  const typed = (name: string) => {
    const value = posted.get(name);
    return typeof value === 'string' ? value : '';
  };
  const known = knownFields
    .filter(({ name }) => posted.has(name) || faultOf(name) !== '')
    .map((field) => ({ ...field, value: typed(field.name), fault: faultOf(field.name) }));
  const shown = new Set(known.map(({ name }) => name));
  const others = [...posted.keys()]
    .filter((name) => !shown.has(name))
    .map((name) => ({ name, value: typed(name), fault: faultOf(name) }));
  return {
    fields: [
      ...known,
      ...others
        .filter(({ fault }) => fault !== '')
        .map((it) => ({ ...it, label: it.name, type: 'text', autocomplete: 'off' })),
    ],
    hidden: others.filter(({ fault }) => fault === ''),
    general: faultOf(''),
  };
}
