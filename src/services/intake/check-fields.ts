import { readAddress } from '../../address.ts';
import { solutionFields } from '../../captcha/kinds.ts';
import { type FieldFault, Problem } from '../../problems.ts';
import { aliases, fieldLimits, type KnownField, knownFields, type Rule } from '../forms/fields.ts';
import type { MessageContent } from '../sealed-values.ts';

/** What a visitor posted, not yet checked. */
export interface Submission {
  formSlug: string;
  /** Field names and values as posted; a name that was sent more than once has an array. */
  values: ReadonlyMap<string, unknown>;
  clientAddress: string | undefined;
  /** The `Idempotency-Key` header. */
  idempotencyKey: string | undefined;
  /** The browser's `Origin` header; programs send none. */
  origin?: string | undefined;
}

/** Replaces a file among the values of a submission. Forms accept only text. */
export const filePart = Symbol('a file');

/** Max number of files that an error names. */
const maxFilesNamed = 10;

const extraField: Rule = { limit: fieldLimits.extraValue, untrimmed: true };

/** Names that never become an extra field. */
const takenNames = new Set<string>([...Object.entries(aliases).flat(2), ...Object.values(solutionFields)]);

/**
 * Checks posted values against what a form accepts. Pure.
 *
 * @param required fields that must be given in addition to `email` and `message`.
 * @throws {Problem} fields-invalid, naming every fault at once, but only the first ten files.
 */
export function checkFields(posted: ReadonlyMap<string, unknown>, required: readonly string[] = []): MessageContent {
  const faults: FieldFault[] = [];
  const files = [...posted].filter(([, value]) => holdsFile(value));
  for (const [name] of files.slice(0, maxFilesNamed)) {
    faults.push({ field: nameInFault(name), code: 'file', message: 'must be text; files are not accepted' });
  }
  const email = readKnown(posted, 'email', faults);
  const address = email === undefined ? undefined : readAddress(email);
  if (email !== undefined && address === undefined) {
    const field = nameGiven(posted, 'email') ?? 'email';
    faults.push({ field, code: 'invalid', message: 'must be a single e-mail address, like ada@example.com' });
  }
  const text = readKnown(posted, 'message', faults);
  const name = readKnown(posted, 'name', faults);
  const subject = readKnown(posted, 'subject', faults);
  const extra = readExtra(posted, faults);
  for (const field of required) {
    const given = isKnown(field) ? nameGiven(posted, field) !== undefined : isGiven(shownOf(posted.get(field)));
    const isKnownFault = faults.some((it) => it.field === field);
    if (!given && !isKnownFault) faults.push({ field, code: 'missing', message: 'is required' });
  }
  if (faults.length > 0 || address === undefined || text === undefined) {
    throw new Problem('fields-invalid', 'some fields are missing or not valid', { faults });
  }
  return { address, ...(name && { name }), ...(subject && { subject }), text, extra };
}

/** @returns undefined if the field is missing or invalid; then a fault is added. */
function readKnown(posted: ReadonlyMap<string, unknown>, field: KnownField, faults: FieldFault[]): string | undefined {
  const rule: Rule = knownFields[field];
  const name = nameGiven(posted, field);
  if (name !== undefined) return readText(name, posted.get(name), rule, faults);
  if (rule.required && !holdsFile(posted.get(field))) faults.push({ field, code: 'missing', message: 'is required' });
  return undefined;
}

/** The name under which a known field was given. A fault must use that name. */
function nameGiven(posted: ReadonlyMap<string, unknown>, field: KnownField): string | undefined {
  return isGiven(posted.get(field)) ? field : aliases[field].find((name) => isGiven(posted.get(name)));
}

function readExtra(posted: ReadonlyMap<string, unknown>, faults: FieldFault[]): [string, string][] {
  const others: [string, unknown][] = [];
  for (const [name, value] of posted) {
    if (!takenNames.has(name) && !name.startsWith('_') && !holdsFile(value)) others.push([name, value]);
  }
  if (others.length > fieldLimits.extraFields) {
    const message = `there must be no more than ${fieldLimits.extraFields} further fields`;
    faults.push({ field: '', code: 'too-many', message });
    return [];
  }
  return others.flatMap(([name, value]): [string, string][] => {
    const field = nameInFault(name);
    if (name.length > fieldLimits.extraName || hasControls(name)) {
      const message = `must have a name of at most ${fieldLimits.extraName} plain characters`;
      faults.push({ field, code: 'invalid', message });
      return [];
    }
    const shown = shownOf(value);
    if (shown === null || shown === '') return [];
    if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
      // JSON.parse has already lost its last digits.
      faults.push({ field, code: 'invalid', message: 'is too large a number to be kept exactly; send it as text' });
      return [];
    }
    const text = readText(field, shown, extraField, faults);
    return text === undefined ? [] : [[name, text]];
  });
}

/**
 * The text to store for an extra field. Programs send numbers and booleans, which are stored as the visitor saw them. Check
 * boxes and lists can send several texts under one name.
 */
function shownOf(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (!Array.isArray(value) || !value.every((it) => typeof it === 'string')) return value;
  return value.filter((it) => it.trim() !== '').join(', ');
}

/** @returns undefined, and adds a fault, if the value breaks the rule. */
function readText(field: string, value: unknown, rule: Rule, faults: FieldFault[]): string | undefined {
  if (typeof value !== 'string') {
    faults.push({ field, code: 'invalid', message: 'must be one text' });
    return undefined;
  }
  const before = faults.length;
  const text = rule.untrimmed ? value : value.trim();
  if (isLongerThan(text, rule.limit)) {
    faults.push({ field, code: 'too-long', message: `must be no longer than ${rule.limit} characters` });
  }
  if (rule.oneLine && hasControls(text)) {
    faults.push({ field, code: 'invalid', message: 'must be one line without control characters' });
  }
  return faults.length === before ? text : undefined;
}

function isKnown(field: string): field is KnownField {
  return Object.hasOwn(knownFields, field);
}

function isGiven(value: unknown): boolean {
  const isBlank = value === undefined || value === null || (typeof value === 'string' && value.trim() === '');
  return !isBlank && !holdsFile(value);
}

function holdsFile(value: unknown): boolean {
  return value === filePart || (Array.isArray(value) && value.includes(filePart));
}

/** A field's name as faults show it: a long name is cut. */
export function nameInFault(name: string): string {
  return name.slice(0, fieldLimits.extraName);
}

/** Compares code points. Each is one or two units long, so most texts need no counting. */
function isLongerThan(text: string, limit: number): boolean {
  return text.length > limit && (text.length > 2 * limit || [...text].length > limit);
}

/** C0 and C1 control characters, DEL, and the Unicode line and paragraph separators. */
function hasControls(value: string): boolean {
  return /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value);
}
