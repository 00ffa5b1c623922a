import type { Form } from '../../entities/index.ts';
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
  required?: true;
  /** Keeps leading and trailing white space. */
  untrimmed?: true;
  oneLine?: true;
}

/** The fields that every form has. A text of white space alone counts as missing. */
export const knownFields = {
  email: { limit: fieldLimits.email, required: true },
  message: { limit: fieldLimits.message, required: true, untrimmed: true },
  name: { limit: fieldLimits.name, oneLine: true },
  subject: { limit: fieldLimits.subject, oneLine: true },
} as const satisfies Record<string, Rule>;

/** The fields that every form requires. */
export const alwaysRequired = Object.entries(knownFields).flatMap(([name, rule]) => ('required' in rule ? [name] : []));

export type KnownField = keyof typeof knownFields;

/** Other names that frontends use for a known field. If both are posted, the field's own name counts. */
export const aliases: Readonly<Record<KnownField, readonly string[]>> = {
  email: ['_replyto'],
  message: [],
  name: ['first_name', 'firstName'],
  subject: ['_subject'],
};

/** A field's label in a language: as declared, else ours, else made from its name. */
export function labelIn({ fields }: Partial<Pick<Form, 'fields'>>, name: string, language: Language): string {
  const declared = Array.isArray(fields) ? fields.find((it) => it.name === name)?.label : undefined;
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
