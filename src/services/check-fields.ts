import * as z from 'zod';
import { readAddress } from '../address.ts';
import { solutionFields } from '../captcha-kinds.ts';
import { type FieldFault, Problem } from '../problems.ts';
import type { MessageContent } from './message-content.ts';

/** What a visitor posted, not yet believed. */
export interface Submission {
  formSlug: string;
  /** Field names and values as they came; a name given twice has an array. */
  values: ReadonlyMap<string, unknown>;
  clientAddress: string | undefined;
  /** The `Idempotency-Key` header. */
  idempotencyKey: string | undefined;
  /** The `Origin` that a browser sent along; programs send none. */
  origin?: string | undefined;
}

/** Stands among the values of a submission in the place of a file: text is all that a form takes. */
export const filePart = Symbol('a file');

/** Largest sizes, in characters (Unicode code points), and the number of extra fields. */
export const fieldLimits = {
  message: 10_000,
  name: 200,
  subject: 200,
  email: 254,
  extraFields: 30,
  extraName: 64,
  extraValue: 2000,
} as const;

const notText = 'must be one text';

const email = limitedText(fieldLimits.email).transform((value, context) => {
  const address = readAddress(value);
  if (address !== undefined) return address;
  context.addIssue({ code: 'custom', message: 'must be a single e-mail address, like ada@example.com' });
  return z.NEVER;
});

/** The fields that every form has. A text that is empty but for white space counts as not given. */
export const knownFields = z.object({
  email,
  message: limitedText(fieldLimits.message, { untrimmed: true }),
  name: oneLine(fieldLimits.name).optional(),
  subject: oneLine(fieldLimits.subject).optional(),
});

const extraField = limitedText(fieldLimits.extraValue, { untrimmed: true });

/** Other names that frontends send a known field under; the field's own name wins. */
export const aliases: Readonly<Record<keyof z.input<typeof knownFields>, readonly string[]>> = {
  email: ['_replyto'],
  message: [],
  name: ['first_name', 'firstName'],
  subject: ['_subject'],
};

/**
 * Checks what was posted against what a form takes. Pure.
 *
 * @param required fields that must be there beside `email` and `message`.
 * @throws {Problem} fields-invalid, naming every fault at once.
 */
export function checkFields(posted: ReadonlyMap<string, unknown>, required: readonly string[] = []): MessageContent {
  const faults = [...posted].filter(([, value]) => holdsFile(value)).map(([name]) => fileFault(name));
  const values = new Map([...posted].filter(([, value]) => !holdsFile(value)));
  const { given, names } = pickKnown(values);
  const known = knownFields.safeParse(given);
  if (!known.success) {
    for (const issue of known.error.issues) {
      const field = String(issue.path[0]);
      const name = names.get(field);
      if (name !== undefined) faults.push(faultOf(name, issue));
      else if (!holdsFile(posted.get(field))) faults.push({ field, code: 'missing', message: 'is required' });
    }
  }
  const extra = pickExtra(values, faults);
  for (const field of required) {
    const value = Object.hasOwn(aliases, field) ? given[field] : values.get(field);
    const told = faults.some((it) => it.field === field);
    if (isBlank(value) && !told) faults.push({ field, code: 'missing', message: 'is required' });
  }
  if (!known.success || faults.length > 0) {
    throw new Problem('fields-invalid', 'some fields are missing or not valid', { faults });
  }
  const { email: address, message: text, name, subject } = known.data;
  return { address, ...(name && { name }), ...(subject && { subject }), text, extra };
}

/** The known fields that were given, and the name that each was given under: a fault must name that one. */
function pickKnown(values: ReadonlyMap<string, unknown>) {
  const names = new Map(
    Object.entries(aliases).flatMap(([field, others]): [string, string][] => {
      const name = [field, ...others].find((it) => !isBlank(values.get(it)));
      return name === undefined ? [] : [[field, name]];
    }),
  );
  const given = Object.fromEntries([...names].map(([field, name]) => [field, values.get(name)]));
  return { given, names };
}

function pickExtra(values: ReadonlyMap<string, unknown>, faults: FieldFault[]): [string, string][] {
  const taken = new Set([...Object.entries(aliases).flat(2), ...Object.values(solutionFields)]);
  const others = [...values].filter(([name]) => !taken.has(name) && !name.startsWith('_'));
  if (others.length > fieldLimits.extraFields) {
    faults.push({
      field: '',
      code: 'too-many',
      message: `there must be no more than ${fieldLimits.extraFields} further fields`,
    });
    return [];
  }
  return others.flatMap(([name, value]): [string, string][] => {
    const field = name.slice(0, fieldLimits.extraName);
    if (name.length > fieldLimits.extraName || hasControls(name)) {
      faults.push({
        field,
        code: 'invalid',
        message: `must have a name of at most ${fieldLimits.extraName} plain characters`,
      });
      return [];
    }
    if (value === null || value === '') return [];
    // Programs send numbers and check boxes as such; their text is what the visitor saw.
    const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
    const parsed = extraField.safeParse(text);
    if (parsed.success) return [[name, parsed.data]];
    faults.push(...parsed.error.issues.map((issue) => faultOf(field, issue)));
    return [];
  });
}

function isBlank(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'string' && value.trim() === '');
}

function holdsFile(value: unknown): boolean {
  return value === filePart || (Array.isArray(value) && value.includes(filePart));
}

function fileFault(name: string): FieldFault {
  return { field: name.slice(0, fieldLimits.extraName), code: 'file', message: 'must be text; files are not taken' };
}

function faultOf(field: string, issue: z.core.$ZodIssue): FieldFault {
  return { field, code: issue.code === 'too_big' ? 'too-long' : 'invalid', message: issue.message };
}

function limitedText(limit: number, options: { untrimmed?: true } = {}) {
  const text = z.string({ error: notText });
  return (options.untrimmed ? text : text.trim()).superRefine((value, context) => {
    // Every code point is one or two units long, so that most texts need no counting.
    if (value.length <= limit || (value.length <= 2 * limit && [...value].length <= limit)) return;
    context.addIssue({
      code: 'too_big',
      origin: 'string',
      maximum: limit,
      inclusive: true,
      input: undefined,
      message: `must be no longer than ${limit} characters`,
    });
  });
}

function oneLine(limit: number) {
  return limitedText(limit).refine((value) => !hasControls(value), {
    error: 'must be one line without control characters',
  });
}

/** C0 and C1 control characters, DEL, and the Unicode line and paragraph separators. */
function hasControls(value: string): boolean {
  return /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value);
}
