import { solutionFields } from '../../captcha/kinds.ts';
import { catalogueOf } from '../../languages/languages.ts';
import { aliases, type DeclaredField, declaredFields, type FieldRules } from '../../services/forms/fields.ts';
import { isTicked, nameInFault } from '../../services/intake/read-value.ts';
import type { ProblemDetails } from '../http/problem-details.ts';
import type { Refused } from './visitor-words.ts';

const knownFields = [
  { name: 'name', type: 'text', autocomplete: 'name' },
  { name: 'email', type: 'email', autocomplete: 'email' },
  { name: 'subject', type: 'text', autocomplete: 'off' },
  { name: 'message', type: 'textarea', autocomplete: 'off' },
] as const;

const aliasesOf = new Map<string, readonly string[]>(Object.entries(aliases));

/** The input for a declared field. */
function inputOf(field: DeclaredField) {
  const known = knownFields.find((it) => it.name === field.name);
  const { type, max = 0, choices } = field;
  const ownType = type === 'text' && max > 200 ? 'textarea' : choices ? 'select' : type;
  return { ...field, autocomplete: 'off', ...known, type: known?.type ?? ownType, isMultiple: type === 'choices' };
}

/** A number input would lose a text that is no number, and a text input its line breaks. */
function fittingType(type: string, value: string): string {
  if (type === 'number') return Number.isNaN(Number(value)) ? 'text' : type;
  return type === 'text' && (value.includes('\n') || value.length > 100) ? 'textarea' : type;
}

const solutions = new Set<string>(Object.values(solutionFields));

/**
 * The values of the correction page: everything that was typed, and what is wrong with each field.
 *
 * @param form empty if this server has not read it yet.
 */
export function correction(
  details: ProblemDetails,
  posted: ReadonlyMap<string, unknown>,
  form: FieldRules = {},
  { language, label: labelFor }: Pick<Refused, 'language' | 'label'>,
) {
  const words = catalogueOf(language).pages;
  // Faults shorten long names, so look the posted name up. The first fault of a field wins.
  const postedNames = new Map([...posted.keys()].toReversed().map((name) => [nameInFault(name), name]));
  const faults = new Map(
    details.errors?.toReversed().map(({ field, message }) => [postedNames.get(field) ?? field, message]),
  );
  const faultOf = (...names: string[]) => names.map((name) => faults.get(name)).find((it) => it !== undefined) ?? '';
  const isEmpty = details.errors?.some((it) => it.field === '' && it.code === 'missing');
  const known = (declaredFields(form)?.map(inputOf) ?? knownFields)
    .map((field) => {
      const names = [field.name, ...(aliasesOf.get(field.name) ?? [])];
      const given = names.some((name) => posted.has(name));
      const label = labelFor(field.name);
      const [value, texts] = [typed(posted, names), names.flatMap((name) => textsOf(posted.get(name)))];
      const type = fittingType(field.type, value);
      return { ...field, type, label, given, texts, value, isTicked: isTicked(texts), fault: faultOf(...names) };
    })
    .filter(({ given, fault }) => given || isEmpty || fault !== '');
  const shown = new Set<string>(known.flatMap(({ name }) => [name, ...(aliasesOf.get(name) ?? [])]));
  // Includes required fields that were not posted.
  const named = [...faults.keys()].filter((name) => name !== '').toReversed();
  const others = [...new Set([...posted.keys(), ...named])].filter((name) => !shown.has(name));
  const faulty = others
    .filter((name) => faultOf(name) !== '')
    .map((name) => {
      const value = typed(posted, [name]);
      const label = labelFor(nameInFault(name));
      return { name, label, type: fittingType('text', value), autocomplete: 'off', value, fault: faultOf(name) };
    });
  const captcha = details.code !== 'fields-invalid';
  const fields = [...known, ...faulty];
  return {
    title: captcha ? words.oneMoreStep : words.correctTitle,
    captcha,
    fields,
    faults: fields.filter(({ fault }) => fault !== ''),
    hidden: asInputs(new Map(others.filter((name) => faultOf(name) === '').map((name) => [name, posted.get(name)]))),
    general: faultOf(''),
  };
}

/** Hidden inputs that post the same again. A repeated name has several inputs. */
export function asInputs(posted: ReadonlyMap<string, unknown>): { name: string; value: string }[] {
  return [...posted].flatMap(([name, value]) => textsOf(value).map((text) => ({ name, value: text })));
}

/** What was typed, for the visitor to copy: no instructions and no captcha solution. */
export function typedTexts(posted: ReadonlyMap<string, unknown>, label: Refused['label']) {
  return [...posted.keys()]
    .filter((name) => !name.startsWith('_') && !solutions.has(name))
    .map((name) => ({ label: label(name), value: typed(posted, [name]) }))
    .filter(({ value }) => value.trim() !== '');
}

/** The text of the first of these fields that is not empty. */
function typed(posted: ReadonlyMap<string, unknown>, names: readonly string[]): string {
  const values = names.map((name) => textsOf(posted.get(name)).join(', '));
  return values.find((value) => value.trim() !== '') ?? values[0] ?? '';
}

/** The texts in a value. Leaves out objects, which only programs send. */
function textsOf(value: unknown): string[] {
  const values = Array.isArray(value) ? value : [value];
  return values.filter((it) => ['string', 'number', 'boolean'].includes(typeof it)).map(String);
}
