import { readAddress } from '../../address.ts';
import type { FormField } from '../../entities/index.ts';
import { type Catalogue, catalogueOf, fill } from '../../languages/languages.ts';
import type { FieldFault } from '../../problems.ts';
import type { Language } from '../../words.ts';
import { declaredFields, type FieldRules, fieldLimits, labelIn, type Rule } from '../forms/fields.ts';

/** Replaces a file among the values of a submission. Forms accept only text. */
export const filePart = Symbol('a file');

/** Everything that is wrong with a submission, in one language. */
export class Faults {
  readonly list: FieldFault[] = [];
  readonly #form: FieldRules;
  readonly #language: Language;

  constructor(form: FieldRules, language: Language) {
    this.#form = form;
    this.#language = language;
  }

  add(
    field: string,
    code: FieldFault['code'],
    sentence: keyof Catalogue['faults'],
    values: { min?: number | undefined; max?: number | undefined } = {},
  ): undefined {
    const { [sentence]: text } = catalogueOf(this.#language).faults;
    const message = fill(text, { min: String(values.min), max: String(values.max) });
    const isDeclared = declaredFields(this.#form)?.some((it) => it.name === field);
    const label = isDeclared && { label: labelIn(this.#form, field, this.#language) };
    this.list.push({ field: nameInFault(field), code, message, ...label });
  }
}

/** @returns undefined, and adds a fault, if the value breaks the rule. */
export function readText(field: string, value: unknown, rule: Rule, faults: Faults): string | undefined {
  if (typeof value !== 'string') return faults.add(field, 'invalid', 'oneText');
  const text = rule.untrimmed ? value : value.trim();
  const isTooLong = isLongerThan(text, rule.limit);
  const hasLines = rule.oneLine && hasControls(text);
  if (isTooLong) faults.add(field, 'too-long', 'tooLong', { max: rule.limit });
  if (hasLines) faults.add(field, 'invalid', 'oneLine');
  return isTooLong || hasLines ? undefined : text;
}

type Length = Pick<FormField, 'name' | 'min' | 'max'>;

/** Checks the length that a form declares. @returns undefined, and adds a fault, if it is wrong. */
export function checkLength(text: string, { name, min = 0, max = Infinity }: Length, faults: Faults) {
  if (isLongerThan(text, max)) return faults.add(name, 'too-long', 'tooLong', { max });
  return isLongerThan(text, min - 1) ? text : faults.add(name, 'range', 'tooShort', { min });
}

/** As HTML writes numbers. */
const numberPattern = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/**
 * Reads a field that a form declares.
 *
 * @param value as posted, and not empty.
 * @returns the text to store; undefined, and adds a fault, if it breaks the declaration.
 */
export function readDeclared(field: FormField, value: unknown, faults: Faults): string | undefined {
  const { name, type, min = -Infinity, max = Infinity } = field;
  if (type === 'choice' || type === 'choices') return readChoices(field, value, faults);
  if (type === 'checkbox') return readCheckbox(field, value, faults);
  const limit = type === 'email' ? fieldLimits.email : fieldLimits.extraValue;
  const text = readText(name, shownOf(value), { limit, ...(type === 'text' && { untrimmed: true }) }, faults);
  if (text === undefined) return undefined;
  if (type === 'text') return checkLength(text, field, faults);
  if (type === 'email') return readAddress(text) === undefined ? faults.add(name, 'invalid', 'address') : text;
  const number = Number(text);
  if (!numberPattern.test(text) || !Number.isFinite(number)) return faults.add(name, 'invalid', 'number');
  if (number < min) return faults.add(name, 'range', 'tooSmall', { min });
  return number > max ? faults.add(name, 'range', 'tooLarge', { max }) : text;
}

function readChoices({ name, type, choices, min = 0, max = Infinity }: FormField, value: unknown, faults: Faults) {
  const given = [value].flat().map(shownOf).filter(isGiven);
  const chosen = [...new Set(given.map((it) => choices?.find((choice) => choice === String(it).trim())))];
  if (chosen.includes(undefined) || (type === 'choice' && chosen.length > 1)) {
    return faults.add(name, 'choice', 'choice');
  }
  if (chosen.length < min) return faults.add(name, 'range', 'tooFewChoices', { min });
  if (chosen.length > max) return faults.add(name, 'range', 'tooManyChoices', { max });
  return chosen.join(', ');
}

/** Whether a box is ticked. A page may send several values under one name: a hidden `no`, and `yes` if it is. */
export function isTicked(value: unknown): boolean {
  return [value].flat().some((it) => isGiven(shownOf(it)) && !/^\s*(?:false|off|no|nein|0)\s*$/i.test(String(it)));
}

function readCheckbox({ name, required }: FormField, value: unknown, faults: Faults): string | undefined {
  const given = [value].flat().map(shownOf).filter(isGiven);
  if (!given.every((it) => typeof it === 'string')) return faults.add(name, 'invalid', 'oneText');
  if (isTicked(value)) return 'yes';
  return required ? faults.add(name, 'missing', 'ticked') : 'no';
}

/**
 * The text to store for an extra field. Programs send numbers and booleans, which are stored as the visitor saw them. Check
 * boxes and lists can send several texts under one name.
 */
export function shownOf(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (!Array.isArray(value) || !value.every((it) => typeof it === 'string')) return value;
  return value.filter((it) => it.trim() !== '').join(', ');
}

export function isGiven(value: unknown): boolean {
  const isBlank = value === undefined || value === null || (typeof value === 'string' && value.trim() === '');
  return !isBlank && !holdsFile(value);
}

export function holdsFile(value: unknown): boolean {
  return value === filePart || (Array.isArray(value) && value.includes(filePart));
}

/** A field's name as faults show it: a long name is cut. */
export function nameInFault(name: string): string {
  return name.slice(0, fieldLimits.extraName);
}

/** Compares code points. Each is one or two units long, so most texts need no counting. A line break is one, as in browsers. */
function isLongerThan(text: string, limit: number): boolean {
  return text.length > limit && [...text.replaceAll('\r\n', '\n')].length > limit;
}

/** C0 and C1 control characters, DEL, and the Unicode line and paragraph separators. */
export function hasControls(value: string): boolean {
  return /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value);
}
