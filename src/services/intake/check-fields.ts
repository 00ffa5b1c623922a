import { eachAddressOnce, normaliseAddress, readAddress } from '../../address.ts';
import { solutionFields } from '../../captcha/kinds.ts';
import type { FormField } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { Language } from '../../words.ts';
import {
  aliases,
  alwaysRequired,
  declaredFields,
  emailFieldsOf,
  type FieldRules,
  fieldLimits,
  type KnownField,
  knownFields,
  type Rule,
  requiredOf,
  senderFieldOf,
} from '../forms/fields.ts';
import type { MessageContent } from '../sealed-values.ts';
import { checkLength, Faults, hasControls, holdsFile, isGiven, readDeclared, readText, shownOf } from './read-value.ts';

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
  /** By Formspree's protocol: nothing is required but what a form itself says. */
  takesAnyFields?: true | undefined;
}

/** A submission that a form accepts. */
export interface Checked {
  content: MessageContent;
  /** Addresses in other fields of type `email`. */
  otherAddresses: readonly string[];
}

/** Max number of files that an error names. */
const maxFilesNamed = 10;

const extraField: Rule = { limit: fieldLimits.extraValue, untrimmed: true };

/** Names that never become an extra field, unless a form declares them. */
const takenNames = new Set<string>([...Object.entries(aliases).flat(2), ...Object.values(solutionFields)]);

interface Post {
  posted: ReadonlyMap<string, unknown>;
  faults: Faults;
  required: readonly string[];
  /** The fields that the form declares, by name. */
  declared: ReadonlyMap<string, FormField> | undefined;
}

/**
 * Checks posted values against what a form accepts. Pure.
 *
 * @param language of the faults.
 * @throws {Problem} fields-invalid, naming every fault at once, but only the first ten files.
 */
export function checkFields(
  posted: ReadonlyMap<string, unknown>,
  form: FieldRules = {},
  { language = 'en', takesAnyFields }: { language?: Language; takesAnyFields?: true | undefined } = {},
): Checked {
  const faults = new Faults(form, language);
  const declared = declaredFields(form);
  const required = requiredIn(form, takesAnyFields);
  const own = declared?.map((it): [string, FormField] => [it.name, { ...it, required: required.includes(it.name) }]);
  const post = { posted, faults, required, declared: own && new Map(own) };
  const files = [...posted].filter(([, value]) => holdsFile(value));
  for (const [name] of files.slice(0, maxFilesNamed)) faults.add(name, 'file', 'file');
  const email = readKnown(post, 'email');
  const given = email === undefined ? undefined : readAddress(email);
  if (email !== undefined && given === undefined) {
    faults.add(nameGiven(posted, 'email') ?? 'email', 'invalid', 'address');
  }
  const text = readKnown(post, 'message') ?? '';
  const name = readKnown(post, 'name');
  const subject = readKnown(post, 'subject');
  const extra = readExtra(post);
  const isBox = (field: string) => post.declared?.get(field)?.type === 'checkbox';
  for (const field of required) {
    const value = posted.get(isKnown(field) ? (nameGiven(posted, field) ?? field) : field);
    const isFault = faults.list.some((it) => it.field === field);
    if (!isGiven(shownOf(value)) && !isFault) faults.add(field, 'missing', isBox(field) ? 'ticked' : 'missing');
  }
  const isBlank = ([field, value]: [string, string]) =>
    value.trim() === '' || (value === 'no' && post.declared?.get(field)?.type === 'checkbox');
  const isEmpty = (given ?? name ?? subject) === undefined && text === '' && extra.every(isBlank);
  if (isEmpty && faults.list.length === 0) faults.add('', 'missing', 'empty');
  if (faults.list.length > 0) {
    throw new Problem('fields-invalid', 'some fields are missing or not valid', { faults: faults.list });
  }
  const { address, others } = addressesIn(form, extra, given);
  const content = { ...(address && { address }), ...(name && { name }), ...(subject && { subject }), text, extra };
  return { content, otherAddresses: others };
}

function requiredIn(form: FieldRules, takesAnyFields = false): readonly string[] {
  if (takesAnyFields && form.fields == null) return form.requiredFields ?? [];
  return requiredOf(form);
}

/**
 * The addresses in the declared fields.
 *
 * @param given the sender's address, if `email` or `_replyto` has it.
 */
function addressesIn(form: FieldRules, extra: MessageContent['extra'], given: string | undefined) {
  const names = emailFieldsOf(form);
  if (names === undefined) return { address: given, others: [] };
  const found = new Map(extra.flatMap(([name, it]) => (names.includes(name) ? [[name, readAddress(it) ?? '']] : [])));
  const address = given ?? found.get(senderFieldOf(form) ?? '');
  const isSender = (it: string) => address !== undefined && normaliseAddress(it) === normaliseAddress(address);
  return { address, others: eachAddressOnce([...found.values()]).filter((it) => !isSender(it)) };
}

/** @returns undefined if the field is missing or invalid; then a fault is added. */
function readKnown({ posted, declared, required, faults }: Post, field: KnownField): string | undefined {
  const name = nameGiven(posted, field);
  if (name === undefined) {
    const isMissing = alwaysRequired.includes(field) && required.includes(field) && !holdsFile(posted.get(field));
    return isMissing ? faults.add(field, 'missing', 'missing') : undefined;
  }
  const text = readText(name, posted.get(name), knownFields[field], faults);
  return text === undefined ? undefined : checkLength(text, { ...declared?.get(field), name }, faults);
}

/** The name under which a known field was given. A fault must use that name. */
function nameGiven(posted: ReadonlyMap<string, unknown>, field: KnownField): string | undefined {
  return isGiven(posted.get(field)) ? field : aliases[field].find((name) => isGiven(posted.get(name)));
}

function readExtra({ posted, declared, faults }: Post): [name: string, value: string][] {
  const others: [string, unknown][] = [];
  for (const [name, value] of posted) {
    const isTaken = takenNames.has(name) && (isKnown(name) || !declared?.has(name));
    if (!isTaken && !name.startsWith('_') && !holdsFile(value)) others.push([name, value]);
  }
  if (others.length - (declared?.size ?? 0) > fieldLimits.extraFields) {
    faults.add('', 'too-many', 'fieldCount', { max: fieldLimits.extraFields });
    return [];
  }
  return others.flatMap(([name, value]): [string, string][] => {
    const text = readExtraField(name, value, declared?.get(name), faults);
    return text === undefined ? [] : [[name, text]];
  });
}

/** @returns undefined if there is nothing to store. */
function readExtraField(name: string, value: unknown, own: FormField | undefined, faults: Faults): string | undefined {
  if (name.length > fieldLimits.extraName || hasControls(name)) {
    return faults.add(name, 'invalid', 'fieldName', { max: fieldLimits.extraName });
  }
  const shown = shownOf(value);
  if (shown === null || shown === '' || (own && !isGiven(shown))) return undefined;
  // JSON.parse has already lost its last digits.
  if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    return faults.add(name, 'invalid', 'largeNumber');
  }
  return own ? readDeclared(own, value, faults) : readText(name, shown, extraField, faults);
}

function isKnown(field: string): field is KnownField {
  return Object.hasOwn(knownFields, field);
}
