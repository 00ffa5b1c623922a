import type * as z from 'zod';
import { eachAddressOnce } from '../../address.ts';
import { type CaptchaKind, captchaKinds } from '../../captcha/kinds.ts';
import type { Form, FormField, FormRoute, FormWords } from '../../entities/index.ts';
import { readOrigin } from '../../network/origin.ts';
import { Problem } from '../../problems.ts';
import type { FormLanguage } from '../../words.ts';
import { readRecipient } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { alwaysRequired, declaredFields, emailFieldsOf, type FieldRules, fieldLimits } from './fields.ts';
import { eachFault, fieldsSchema, issueInWords, languageSchema, routesSchema, wordsSchema } from './settings-schema.ts';

/** The settings of a form. Null means the environment's setting, if there is one. */
export interface FormSettings {
  name: string | null;
  recipients: readonly string[] | null;
  autoReply: boolean | null;
  captcha: CaptchaKind | null;
  redirectUrl: string | null;
  requiredFields: readonly string[] | null;
  /** Which of `email` and `message` may be missing. */
  optionalFields: readonly string[] | null;
  /** The declared fields, or `any` to take whatever comes. */
  fields: 'any' | readonly FormField[] | null;
  /** Which of several fields of type `email` is the sender's address. */
  emailField: string | null;
  routes: readonly FormRoute[] | null;
  closesAt: Date | null;
  /** How many messages it accepts, held ones included. */
  messageLimit: number | null;
  closedText: string | null;
  language: FormLanguage | null;
  words: FormWords | null;
  /** Origins whose pages may post. Our own pages may always post. */
  origins: readonly string[] | null;
  /** How many days messages are kept; 0 means for ever. */
  retentionDays: number | null;
  /** How many notifications an hour each owner gets; 0 means no limit. */
  notifyLimit: number | null;
}

/** The given settings, as they are stored. @throws {Problem} argument-invalid */
export function readSettings(scope: Pick<Scope, 'config'>, settings: Partial<FormSettings>) {
  const { name, recipients, autoReply, captcha, redirectUrl, requiredFields, origins, retentionDays, notifyLimit } =
    settings;
  const { optionalFields, fields, emailField, routes, closesAt, messageLimit, closedText, language, words } = settings;
  return {
    ...(name !== undefined && { name: name?.trim() ? readName(name.trim()) : null }),
    ...(recipients !== undefined && {
      recipients: recipients?.length ? eachAddressOnce(recipients.map(readRecipient)) : null,
    }),
    ...(autoReply !== undefined && { autoReply }),
    ...(captcha !== undefined && { captcha: captcha === null ? null : readCaptcha(scope, captcha) }),
    ...(redirectUrl !== undefined && { redirectUrl: redirectUrl === null ? null : readRedirect(redirectUrl) }),
    ...(requiredFields !== undefined && {
      requiredFields: requiredFields?.length ? [...new Set(requiredFields.map(readField))] : null,
    }),
    ...(origins !== undefined && { origins: origins?.length ? [...new Set(origins.map(requireOrigin))] : null }),
    ...(retentionDays !== undefined && { retentionDays: retentionDays === null ? null : readDays(retentionDays) }),
    ...(notifyLimit !== undefined && { notifyLimit: notifyLimit === null ? null : readNotifyLimit(notifyLimit) }),
    ...(optionalFields !== undefined && {
      optionalFields: optionalFields?.length ? readOptional(optionalFields) : null,
    }),
    ...(fields !== undefined && { fields: fields === null ? null : readParts('fields', fieldsSchema, fields) }),
    ...(emailField !== undefined && { emailField: emailField === null ? null : readField(emailField) }),
    ...(routes !== undefined && { routes: routes?.length ? readRoutes(routes) : null }),
    ...(closesAt !== undefined && { closesAt }),
    ...(messageLimit !== undefined && { messageLimit: messageLimit === null ? null : readMessageLimit(messageLimit) }),
    ...(closedText !== undefined && { closedText: closedText?.trim() ? readClosedText(closedText.trim()) : null }),
    ...(language !== undefined && {
      language: language === null ? null : readParts('language', languageSchema, language),
    }),
    ...(words !== undefined && { words: words === null ? null : readParts('words', wordsSchema, words) }),
  };
}

/** Checks that settings which name a field fit the fields. @throws {Problem} argument-invalid */
export function requireFittingFields(form: FieldRules & Partial<Pick<Form, 'routes'>>): void {
  requireSenderField(form);
  for (const { field, value } of form.routes ?? []) {
    // A field that is not declared may come too, as text.
    const choices = declaredFields(form)?.find((it) => it.name === field)?.choices;
    if (choices?.includes(value) !== false) continue;
    throw new Problem('argument-invalid', `routes: "${value}" is no choice of the field "${field}"`);
  }
}

/** Several fields of type `email` need one that is the sender's. */
function requireSenderField(form: FieldRules): void {
  const emails = emailFieldsOf(form);
  if (emails === undefined && form.emailField == null) return;
  if (emails === undefined) throw new Problem('argument-invalid', 'emailField: the form declares no fields');
  // A field of this name is the sender's in every form.
  const possible = emails.includes('email') ? ['email'] : emails;
  if (form.emailField == null ? possible.length < 2 : possible.includes(form.emailField)) return;
  const choice = possible.join(' or ') || 'there is none';
  throw new Problem('argument-invalid', `emailField: name the field of type email with the sender: ${choice}`);
}

function readName(name: string): string {
  if (name.length <= 100) return name;
  throw new Problem('argument-invalid', 'a name has at most 100 characters');
}

function readCaptcha({ config }: Pick<Scope, 'config'>, kind: CaptchaKind): CaptchaKind {
  if (!captchaKinds.includes(kind)) {
    throw new Problem('argument-invalid', `"${kind}" is not a captcha: choose ${captchaKinds.join(', ')}`);
  }
  if (kind === 'none' || kind === 'altcha' || kind === config.captcha.kind) return kind;
  throw new Problem('argument-invalid', `${kind} has no keys here: set CAPTCHA=${kind} and its keys first`);
}

function readRedirect(text: string): string {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.href;
  throw new Problem('argument-invalid', `"${text}" is not an http or https URL`);
}

function readField(text: string): string {
  const name = text.trim();
  const isPlain = name.length <= fieldLimits.extraName && /^[^\p{Cc}\p{Zl}\p{Zp}]+$/u.test(name);
  if (isPlain && !name.startsWith('_')) return name;
  throw new Problem('argument-invalid', `"${text}" cannot be a field: use up to 64 characters, and no _ at the start`);
}

function readOptional(texts: readonly string[]): string[] {
  const other = texts.find((it) => !alwaysRequired.includes(it));
  if (other === undefined) return [...new Set(texts)];
  throw new Problem('argument-invalid', `"${other}" is optional anyway: only ${alwaysRequired.join(' and ')} are not`);
}

/** @throws {Problem} argument-invalid, with the place of the first fault */
function readParts<Schema extends z.ZodType>(setting: string, schema: Schema, value: unknown): z.output<Schema> {
  const read = schema.safeParse(value, { error: issueInWords });
  if (read.success) return read.data;
  const [{ path, message } = { path: [], message: '' }] = read.error.issues.flatMap(eachFault);
  throw new Problem('argument-invalid', `${[setting, ...path].join('.')}: ${message}`);
}

function readRoutes(routes: readonly FormRoute[]): FormRoute[] {
  const read = readParts('routes', routesSchema, routes);
  return read.map(({ field, value, to }) => ({ field, value, to: eachAddressOnce(to.map(readRecipient)) }));
}

function readMessageLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1_000_000) return limit;
  throw new Problem('argument-invalid', 'the limit on messages is a whole number from 1 to 1000000');
}

function readClosedText(text: string): string {
  if (text.length <= 500) return text;
  throw new Problem('argument-invalid', 'the text of a closed form has at most 500 characters');
}

function requireOrigin(text: string): string {
  const origin = readOrigin(text.trim());
  if (origin !== undefined) return origin;
  throw new Problem('argument-invalid', `"${text}" is not an origin: use https:// and a host, with nothing after it`);
}

function readDays(days: number): number {
  if (Number.isInteger(days) && days >= 0 && days <= 36_500) return days;
  throw new Problem('argument-invalid', 'retention is a whole number of days up to 36500; 0 means for ever');
}

function readNotifyLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 0 && limit <= 1_000_000) return limit;
  throw new Problem('argument-invalid', 'the limit on notifications is a whole number up to 1000000; 0 means no limit');
}
