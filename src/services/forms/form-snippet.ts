import type { CaptchaKind } from '../../captcha/kinds.ts';
import type { Config } from '../../config/config.ts';
import { escapeHtml } from '../../escape-html.ts';
import { catalogueOf } from '../../languages/languages.ts';
import { languageOf } from './effective-settings.ts';
import { aliases, type DeclaredField, declaredFields, type FieldRules, labelIn, requiredOf } from './fields.ts';

/** The form that a snippet posts to. Without a slug it is the default form, and the script looks up its captcha. */
export interface SnippetForm extends FieldRules {
  slug?: string;
  address: string;
  effective: { captcha: CaptchaKind };
}

export type SnippetSettings = Pick<Config, 'publicUrl' | 'captcha' | 'language'>;

/** The kind of input, and what browsers fill in, for names that many forms have, without spaces and dashes. */
const knownInputs: readonly [name: RegExp, attributes: string][] = [
  [/^email$/, 'type="email" autocomplete="email"'],
  [/^name$/, 'autocomplete="name"'],
  [/^(tele)?phone(number)?$|^tel$|^mobile$/, 'type="tel" autocomplete="tel"'],
  [/^company(name)?$|^organi[sz]ation$/, 'autocomplete="organization"'],
  [/^firstname$/, 'autocomplete="given-name"'],
  [/^(last|sur)name$/, 'autocomplete="family-name"'],
  [/^(street)?address$|^street$/, 'autocomplete="street-address"'],
  [/^(zip|post|postal)(code)?$/, 'autocomplete="postal-code"'],
  [/^city$|^town$/, 'autocomplete="address-level2"'],
  [/^country$/, 'autocomplete="country-name"'],
  [/^website$|^url$/, 'autocomplete="url"'],
];

/** The visible fields of a form: as declared, else its required ones and the sender's name. The control is HTML. */
export function snippetFields(settings: SnippetSettings, form: SnippetForm) {
  const required = new Set(requiredOf(form));
  const language = languageOf(settings, form, undefined);
  return (declaredFields(form) ?? usualFields(required)).map((field) => ({
    name: field.name,
    label: labelIn(form, field.name, language),
    control: controlOf(field, required.has(field.name)),
  }));
}

/** The message comes last. */
function usualFields(required: ReadonlySet<string>): DeclaredField[] {
  // A first name alone would count as the name, but not beside a field "name".
  const isNamed = aliases.name.some((it) => required.has(it));
  const names = new Set([...(isNamed ? [] : ['name']), 'email', ...required]).difference(new Set(['message']));
  return [...names, 'message'].map((name) => ({ name, type: 'text' }));
}

const kindsOfControl = {
  email: 'type="email" autocomplete="email"',
  number: 'type="number" step="any"',
  checkbox: 'type="checkbox" value="yes"',
  choices: 'multiple',
};

function controlOf({ name, type, min, max, choices }: DeclaredField, isRequired: boolean): string {
  const known = knownInputs.find(([pattern]) => pattern.test(name.toLowerCase().replaceAll(/[\s_-]/g, '')))?.[1];
  const kinds = { ...kindsOfControl, text: known, choice: undefined };
  const limits = Object.entries({ min, max }).flatMap(([limit, value]) =>
    choices || value === undefined ? [] : [`${limit}${type === 'text' ? 'length' : ''}="${value}"`],
  );
  const given = [`name="${escapeHtml(name)}"`, kinds[type], ...limits, isRequired && 'required'];
  const attributes = given.filter(Boolean).join(' ');
  if (choices) {
    const options = choices.map((it) => `<option>${escapeHtml(it)}</option>`);
    return `<select ${attributes}>${type === 'choice' ? '<option value=""></option>' : ''}${options.join('')}</select>`;
  }
  const isLong = name === 'message' || (type === 'text' && (max ?? 0) > 200);
  return isLong ? `<textarea ${attributes} rows="5"></textarea>` : `<input ${attributes}>`;
}

/** Hosted captchas: where their script is, and the class of the element that becomes the widget. */
const widgets = {
  turnstile: { script: 'https://challenges.cloudflare.com/turnstile/v0/api.js', element: 'cf-turnstile' },
  hcaptcha: { script: 'https://js.hcaptcha.com/1/api.js', element: 'h-captcha' },
  recaptcha: { script: 'https://www.google.com/recaptcha/api.js', element: 'g-recaptcha' },
} as const;

/** The form's captcha, if its widget comes from a provider. */
export function hostedCaptcha({ effective }: SnippetForm): keyof typeof widgets | undefined {
  const { captcha } = effective;
  return captcha === 'none' || captcha === 'altcha' ? undefined : captcha;
}

/** What a form contains, as lines of HTML, and the scripts that it needs after it. */
export function formParts(settings: SnippetSettings, form: SnippetForm): { fields: string[]; scripts: string[] } {
  const kind = hostedCaptcha(form);
  const { pages } = catalogueOf(languageOf(settings, form, undefined));
  const fields = snippetFields(settings, form).map(
    ({ label, control }) => `  <label>${escapeHtml(label)} ${control}</label>`,
  );
  fields.push(
    `  <div hidden><label>${pages.leaveEmpty} <input name="_gotcha" tabindex="-1" autocomplete="off"></label></div>`,
  );
  if (kind)
    fields.push(
      `  <div class="${widgets[kind].element}" data-sitekey="${escapeHtml(settings.captcha.siteKey ?? '')}"></div>`,
    );
  fields.push(`  <button>${pages.send}</button>`);
  return { fields, scripts: kind ? [`<script src="${widgets[kind].script}" async defer></script>`] : [] };
}

/** The HTML to paste into a page. Except for a captcha, it works without JavaScript. */
export function formSnippet(settings: SnippetSettings, form: SnippetForm): string {
  const publicUrl = escapeHtml(settings.publicUrl);
  const { fields, scripts } = formParts(settings, form);
  const isSolved = form.effective.captcha === 'altcha' && form.slug !== undefined;
  const proof = isSolved ? ` data-captcha="${publicUrl}/api/captcha?form=${form.slug}"` : '';
  return [
    `<form method="post" action="${escapeHtml(form.address)}" data-ruffinweb${proof}>`,
    ...fields,
    '</form>',
    `<script src="${publicUrl}/form.js" defer></script>`,
    ...scripts,
  ].join('\n');
}
