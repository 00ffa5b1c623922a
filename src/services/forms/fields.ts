import type { Form, FormField } from '../../entities/index.ts';
import { catalogueOf, inLanguage } from '../../languages/languages.ts';
import type { Language } from '../../words.ts';

/** Maximum lengths in characters (Unicode code points), and the maximum number of extra fields. */
export const fieldLimits = {
  message: 10_000,
  name: 200,
  subject: 200,
  email: 254,
  extraFields: 30,
  extraName: 64,
  extraValue: 2000,
} as const;

export interface Rule {
  limit: number;
  /** Keeps leading and trailing white space. */
  untrimmed?: true;
  oneLine?: true;
}

/** The fields that every form has. A text of white space alone counts as missing. */
export const knownFields = {
  email: { limit: fieldLimits.email },
  message: { limit: fieldLimits.message, untrimmed: true },
  name: { limit: fieldLimits.name, oneLine: true },
  subject: { limit: fieldLimits.subject, oneLine: true },
} as const satisfies Record<string, Rule>;

/** The fields that every form requires. */
export const alwaysRequired: readonly string[] = ['email', 'message'] satisfies KnownField[];

export type KnownField = keyof typeof knownFields;

/** Other names that frontends use for a known field. If both are posted, the field's own name counts. */
export const aliases: Readonly<Record<KnownField, readonly string[]>> = {
  email: ['_replyto'],
  message: [],
  name: ['first_name', 'firstName'],
  subject: ['_subject'],
};

/** Hidden fields that only programs fill in: ours, and those of Formspree, FormSubmit, Netlify and Web3Forms. */
export const traps: readonly string[] = ['_gotcha', '_honey', 'bot-field', 'botcheck'];

/** The most characters that a field of text can have. */
export function maxLengthOf(name: string): number {
  const known = Object.entries(aliases).find(([field, others]) => field === name || others.includes(name));
  return known === undefined ? fieldLimits.extraValue : knownFields[known[0] as KnownField].limit;
}

/** The settings that say which fields a form takes, and in which language it names them. */
export type FieldRules = Partial<
  Pick<Form, 'fields' | 'optionalFields' | 'requiredFields' | 'emailField' | 'language'>
>;
export type DeclaredField = FormField;

/** The fields that a form declares, if it does. */
export function declaredFields({ fields }: Pick<FieldRules, 'fields'>): readonly DeclaredField[] | undefined {
  return Array.isArray(fields) ? fields : undefined;
}

/** The names of a form's required fields. */
export function requiredOf({ fields, optionalFields, requiredFields }: FieldRules): string[] {
  const declared = declaredFields({ fields });
  const own = declared
    ? declared.filter((it) => it.required).map((it) => it.name)
    : alwaysRequired.filter((it) => fields !== 'any' && !optionalFields?.includes(it));
  return [...new Set([...own, ...(requiredFields ?? [])])];
}

/** The declared fields of type `email`, if the form declares fields. */
export function emailFieldsOf(form: Pick<FieldRules, 'fields'>): string[] | undefined {
  return declaredFields(form)?.flatMap((it) => (it.type === 'email' ? [it.name] : []));
}

/** The field with the sender's address; undefined if a form declares none. */
export function senderFieldOf(form: FieldRules): string | undefined {
  const emails = emailFieldsOf(form) ?? ['email'];
  const named = emails.find((it) => it === (form.emailField ?? 'email'));
  return named ?? (emails.length === 1 ? emails[0] : undefined);
}

/** A field's label in a language: as declared, else ours, else made from its name. */
export function labelIn(form: Pick<FieldRules, 'fields'>, name: string, language: Language): string {
  const declared = declaredFields(form)?.find((it) => it.name === name)?.label;
  const { labels } = catalogueOf(language);
  if (declared !== undefined) return inLanguage(declared, language);
  return Object.hasOwn(labels, name) ? labels[name as KnownField] : labelOf(name);
}

/** A field's name as a label for people: `Phone` for `phone`, `First name` for `first_name` and `firstName`. */
export function labelOf(name: string): string {
  if (name === 'email') return 'E-mail';
  const words = name
    .replaceAll(/(\p{Ll})(\p{Lu})(?=\p{Ll})/gu, (_, end, start) => `${end} ${start.toLowerCase()}`)
    .replaceAll(/[\s_[\]-]+/g, ' ')
    .trim();
  return words === '' ? name : `${words[0]?.toUpperCase()}${words.slice(1)}`;
}
