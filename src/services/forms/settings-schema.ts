import * as z from 'zod';
import { solutionFields } from '../../captcha/kinds.ts';
import type { FormField } from '../../entities/index.ts';
import { fieldTypes, formLanguages, languages } from '../../words.ts';
import { fieldLimits, maxLengthOf, traps } from './fields.ts';

// What the settings with parts may hold. One that is wrong in itself is refused here; the other settings in `read-settings.ts`.

/** Max fields of type `email`: each one but the sender's is stored as a keyed hash too. */
const maxEmailFields = 5;

const text = (max: number) => z.string().trim().min(1, 'is empty').max(max, `is longer than ${max} characters`);
/** Browsers send an option with single spaces, and a subject or a label has no line breaks. */
const line = (max: number) => text(max).overwrite((it) => it.replaceAll(/[\t\n\f\r ]+/g, ' '));
const translated = (its: z.ZodString) => z.union([its, z.partialRecord(z.enum(languages), its)]);

const fieldName = z
  .string()
  .regex(/^[^_\p{Cc}\p{Zl}\p{Zp}\s][^\p{Cc}\p{Zl}\p{Zp}]*$/u, 'cannot be the name of a field')
  .max(fieldLimits.extraName);

/** Posts with one of these would lose it, or be held. */
const takenNames = [...Object.values(solutionFields), ...traps];

export const fieldSchema = z
  .strictObject({
    name: fieldName.describe('As in the HTML of the page.'),
    label: translated(line(100)).optional().describe('For people: in mails, on pages and in errors.'),
    type: z.enum(fieldTypes).optional().describe('Without it, text; for the field "email", email.'),
    required: z.boolean().optional(),
    min: z.number().optional().describe('Smallest number, or fewest characters or choices.'),
    max: z.number().optional().describe('Largest number, or most characters or choices.'),
    choices: z.array(line(200)).min(1).max(200).optional(),
  })
  .transform((field): FormField => ({ ...field, type: field.type ?? (field.name === 'email' ? 'email' : 'text') }))
  .superRefine(({ name, type, min, max, choices }, context) => {
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    const hasChoices = type === 'choice' || type === 'choices';
    if (hasChoices !== (choices !== undefined)) {
      refuse('choices', hasChoices ? 'is required for this type' : 'is only for the types choice and choices');
    }
    if (choices !== undefined && new Set(choices).size < choices.length) refuse('choices', 'names a choice twice');
    const isMeasured = type === 'text' || type === 'number' || type === 'choices';
    const most = type === 'text' ? maxLengthOf(name) : (choices?.length ?? Infinity);
    for (const [limit, value = 0] of Object.entries({ min, max }).filter(([, it]) => it !== undefined)) {
      if (!isMeasured) refuse(limit, 'is not for this type');
      else if (type !== 'number' && (!Number.isInteger(value) || value < 0))
        refuse(limit, 'must be a whole number from 0');
      else if (value > most) refuse(limit, `must be at most ${most}`);
    }
    if (min !== undefined && max !== undefined && min > max) refuse('min', 'is greater than max');
    if (takenNames.includes(name)) refuse('name', 'has another use: choose another one');
    if (name === 'email' && type !== 'email') refuse('type', 'must be email for this name');
    if (['message', 'name', 'subject'].includes(name) && type !== 'text') refuse('type', 'must be text for this name');
  });

export const fieldsSchema = z.union([
  z.literal('any'),
  z
    .array(fieldSchema)
    .min(1)
    .max(fieldLimits.extraFields)
    .superRefine((fields, context) => {
      const refuse = (message: string) => context.addIssue({ code: 'custom', message });
      const names = fields.map((it) => it.name);
      const twice = names.find((name, index) => names.indexOf(name) !== index);
      if (twice !== undefined) refuse(`names the field "${twice}" twice`);
      const emails = fields.filter((it) => it.type === 'email');
      if (emails.length > maxEmailFields) refuse(`has more than ${maxEmailFields} fields of type email`);
    }),
]);

const addresses = z.array(text(254)).min(1, 'is empty').max(20, 'has more than 20 addresses');

export const routesSchema = z
  .array(z.strictObject({ field: fieldName, value: line(200), to: addresses }))
  .max(50, 'there are more than 50');

export const wordsSchema = z.strictObject({
  autoReplySubject: translated(line(200)).optional(),
  autoReplyText: translated(text(5000)).optional(),
  notificationSubject: translated(line(200)).optional(),
  thanksHeading: translated(line(100)).optional(),
  thanksText: translated(text(2000)).optional(),
});

export const languageSchema = z.enum(formLanguages);

const kinds: Readonly<Record<string, string>> = {
  string: 'text, in quotes if it looks like a number',
  boolean: 'true or false',
  int: 'a whole number',
  array: 'a list',
  object: 'a map of keys and values',
  record: 'texts by language',
};

/** What is wrong, without the place. */
export const issueInWords: z.core.$ZodErrorMap = (issue) => {
  if (issue.input === null) return 'is empty: give it a value, or leave it out';
  if (issue.input === undefined) return 'is missing';
  if (issue.code === 'invalid_value')
    return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`;
  if (issue.code === 'invalid_type') return `must be ${kinds[issue.expected] ?? `a ${issue.expected}`}`;
  if (issue.code === 'invalid_union') return issue.errors.flatMap(([it]) => it?.message ?? []).join(', or ');
  const unit = { string: ' characters', array: ' entries' }[issue.origin as string];
  if (issue.code === 'too_big') return unit ? `has more than ${issue.maximum}${unit}` : `is more than ${issue.maximum}`;
  if (issue.code === 'too_small') return unit ? 'is empty' : `is less than ${issue.minimum}`;
  return undefined;
};

/** The place and the words of each fault. Of a union's branches the one counts that the value gets into, if there is one. */
export function eachFault(issue: z.core.$ZodIssue): { path: PropertyKey[]; message: string }[] {
  const { code, path, message } = issue;
  if (code === 'unrecognized_keys') return issue.keys.map((key) => ({ path: [...path, key], message: 'is unknown' }));
  const isInside = (it: z.core.$ZodIssue) => it.path.length > 0 || it.code === 'unrecognized_keys';
  const branch = code === 'invalid_union' ? issue.errors.find((issues) => issues.some(isInside)) : undefined;
  const inner = code === 'invalid_key' ? issue.issues : branch;
  return inner?.flatMap((it) => eachFault({ ...it, path: [...path, ...it.path] })) ?? [{ path, message }];
}
