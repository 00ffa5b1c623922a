import { solutionFields } from '../../captcha/kinds.ts';
import { aliases } from '../../services/forms/fields.ts';
import { nameInFault } from '../../services/intake/check-fields.ts';
import type { ProblemDetails } from '../http/problem-details.ts';

const knownFields = [
  { name: 'name', label: 'Name', type: 'text', autocomplete: 'name' },
  { name: 'email', label: 'E-mail', type: 'email', autocomplete: 'email' },
  { name: 'subject', label: 'Subject', type: 'text', autocomplete: 'off' },
  { name: 'message', label: 'Message', type: 'textarea', autocomplete: 'off' },
] as const;

const solutions = new Set<string>(Object.values(solutionFields));

/** A value that goes back as it came, out of sight. */
export interface HiddenInput {
  name: string;
  value: string;
}

/** What the correction page shows: everything that was typed, each field with what is wrong with it. */
export function correction(details: ProblemDetails, posted: ReadonlyMap<string, unknown>) {
  // Keyed by the posted name, since a fault cuts a long one. The first fault of a field wins.
  const postedNames = new Map([...posted.keys()].toReversed().map((name) => [nameInFault(name), name]));
  const faults = new Map(
    details.errors?.toReversed().map(({ field, message }) => [postedNames.get(field) ?? field, message]),
  );
  const faultOf = (...names: string[]) => names.map((name) => faults.get(name)).find((it) => it !== undefined) ?? '';
  const known = knownFields
    .map((field) => {
      const names = [field.name, ...aliases[field.name]];
      const given = names.some((name) => posted.has(name));
      return { ...field, given, value: typed(posted, names), fault: faultOf(...names) };
    })
    .filter(({ given, fault }) => given || fault !== '');
  const shown = new Set<string>(known.flatMap(({ name }) => [name, ...aliases[name]]));
  // A field that the form requires may not have been posted at all.
  const named = [...faults.keys()].filter((name) => name !== '').toReversed();
  const others = [...new Set([...posted.keys(), ...named])].filter((name) => !shown.has(name));
  const faulty = others
    .filter((name) => faultOf(name) !== '')
    .map((name) => {
      const value = typed(posted, [name]);
      const type = value.includes('\n') || value.length > 100 ? 'textarea' : 'text';
      return { name, label: nameInFault(name), type, autocomplete: 'off', value, fault: faultOf(name) };
    });
  const captcha = details.code !== 'fields-invalid';
  return {
    title: captcha ? 'One more step' : 'Please correct your message',
    captcha,
    detail: details.detail,
    fields: [...known, ...faulty],
    faults: [...known, ...faulty].filter(({ fault }) => fault !== ''),
    hidden: asInputs(new Map(others.filter((name) => faultOf(name) === '').map((name) => [name, posted.get(name)]))),
    general: faultOf(''),
  };
}

/** What was posted, to be posted again unseen; a name given twice has two inputs. */
export function asInputs(posted: ReadonlyMap<string, unknown>): HiddenInput[] {
  return [...posted].flatMap(([name, value]) => textsOf(value).map((text) => ({ name, value: text })));
}

/** What was typed, to be seen and copied: neither instructions nor a captcha's solution. */
export function typedTexts(posted: ReadonlyMap<string, unknown>): { label: string; value: string }[] {
  return [...posted.keys()]
    .filter((name) => !name.startsWith('_') && !solutions.has(name))
    .map((name) => ({
      label: knownFields.find((it) => it.name === name)?.label ?? name,
      value: typed(posted, [name]),
    }))
    .filter(({ value }) => value.trim() !== '');
}

/** What was typed into the first of these fields that has something. */
function typed(posted: ReadonlyMap<string, unknown>, names: readonly string[]): string {
  const values = names.map((name) => textsOf(posted.get(name)).join(', '));
  return values.find((value) => value.trim() !== '') ?? values[0] ?? '';
}

/** The texts in a value; objects, which only a program can send, are not shown. */
function textsOf(value: unknown): string[] {
  const values = Array.isArray(value) ? value : [value];
  return values.filter((it) => ['string', 'number', 'boolean'].includes(typeof it)).map(String);
}
