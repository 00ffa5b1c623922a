import { eachAddressOnce } from '../../address.ts';
import type { CaptchaKind } from '../../captcha/kinds.ts';
import type { Config } from '../../config/config.ts';
import type { Form, FormRoute } from '../../entities/index.ts';
import { readLanguage } from '../../languages/languages.ts';
import type { Language } from '../../words.ts';
import type { Scope } from '../scope.ts';
import type { MessageContent } from '../sealed-values.ts';
import { declaredFields } from './fields.ts';

/** The captcha of a form. */
export function captchaOf(scope: Pick<Scope, 'config'>, form: Pick<Form, 'captcha'>): CaptchaKind {
  return form.captcha ?? scope.config.captcha.kind;
}

/** Who owns a form's messages, unless a route says otherwise. */
export function ownersOf(config: Config, form: Pick<Form, 'recipients'>): readonly string[] {
  return form.recipients?.length ? form.recipients : config.notifyTo;
}

/** Who gets the notifications about one message: all recipients of the routes that match it, or else the form's. */
export function recipientsOf(
  config: Config,
  form: Pick<Form, 'recipients' | 'routes' | 'fields'>,
  content: MessageContent,
): readonly string[] {
  const matching = (form.routes ?? []).filter((route) => isRouted(form, route, content));
  return matching.length > 0 ? eachAddressOnce(matching.flatMap((it) => it.to)) : ownersOf(config, form);
}

/** Compares the stored text of the field. Several choices are stored as one text, and each of them counts. */
function isRouted(form: Pick<Form, 'fields'>, { field, value }: FormRoute, content: MessageContent): boolean {
  const { address: email, name, subject, text: message, extra } = content;
  const stored = new Map<string, string | undefined>([...extra, ...Object.entries({ email, name, subject, message })]);
  const text = stored.get(field);
  const choices = declaredFields(form)?.find((it) => it.name === field && it.type === 'choices')?.choices;
  const values = (choices && text?.match(anyOf(choices))) ?? [text];
  // A page may write "é" as two characters.
  return values.some((it) => it?.normalize() === value.normalize());
}

/** Finds choices in their joined text. The longest first, since one may contain a comma. */
function anyOf(choices: readonly string[]): RegExp {
  const longestFirst = choices.toSorted((one, other) => other.length - one.length);
  const escaped = longestFirst.map((it) => it.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`(?<=^|, )(?:${escaped.join('|')})(?=, |$)`, 'g');
}

/** SQL: the owners as an array, for a row of `forms`. @param notifyTo SQL for `NOTIFY_TO`. */
export function ownersSql(notifyTo: string): string {
  return `(case when cardinality(forms.recipients) > 0 then forms.recipients else ${notifyTo} end)`;
}

/**
 * The language of a form's mails and pages.
 *
 * @param page of the page that a message was posted from, for forms that follow it.
 */
export function languageOf(
  config: Pick<Config, 'language'>,
  form: Partial<Pick<Form, 'language'>>,
  page: Language | undefined,
): Language {
  // A later release may have stored a language that this one does not know.
  return readLanguage(form.language === 'auto' ? page : form.language) ?? config.language;
}

/** How many days a form's messages are kept; 0 means for ever. */
export function retentionOf(config: Pick<Config, 'retentionDays'>, form: Pick<Form, 'retentionDays'>): number {
  return form.retentionDays ?? config.retentionDays;
}

/** Notifications an hour for each owner, unless the form says otherwise. */
const defaultNotifyLimit = 60;

/** How many notifications an hour each owner of a form gets; 0 means no limit. */
export function notifyLimitOf(form: Pick<Form, 'notifyLimit'>): number {
  return form.notifyLimit ?? defaultNotifyLimit;
}
