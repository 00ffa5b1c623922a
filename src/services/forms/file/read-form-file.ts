import { Problem } from '../../../problems.ts';
import { decodeText } from '../../../text-file.ts';
import { readWrittenTime, zoneReader } from '../../../time-zone.ts';
import { isInKnownYears } from '../../clock.ts';
import type { Scope } from '../../scope.ts';
import { requireSlug } from '../form-settings.ts';
import { type FormSettings, readSettings, requireSenderField } from '../read-settings.ts';
import { eachFault, issueInWords, unknownKey } from '../settings-schema.ts';
import { parseYaml } from './parse-yaml.ts';
import { partKeys, type Setting, settingNames, settingSchemas } from './schema.ts';

/** The settings of each form by its slug, as they are stored. */
export type FormFile = ReadonlyMap<string, FormSettings & { closed: boolean }>;

/** A file with forms cannot be used. The message has a line for each fault, with its place. */
export class FormFileFaulty extends Error {
  override readonly name = 'FormFileFaulty';
}

const maxBytes = 300_000;

/** @throws {FormFileFaulty} with every fault. @throws {TextFileFault} */
export function readFormFile(scope: ConfigScope, file: string, bytes: Buffer): FormFile {
  if (bytes.length > maxBytes) throw new FormFileFaulty(`${file}:1:1: is larger than ${maxBytes / 1000} kB`);
  const { value, faults, placeOf } = parseYaml(decodeText(bytes, file));
  const refuse: Refuse = (path, message) => {
    const known = path.length === 3 ? settingNames : partKeys;
    const near = message === unknownKey ? nearestKey(String(path.at(-1)), known) : '';
    faults.push({
      ...placeOf(path.filter((it) => it !== '')),
      message: `${path.slice(1).join('.')}: ${message}${near}`,
    });
  };
  const forms = Object.entries(value === undefined ? {} : formsIn(value, refuse));
  const read = forms.map(([slug, it]) => [slug, readForm(scope, slug, it, refuse)] as const);
  const stored = read.map(([slug, { closed, ...given }]) => {
    const settings =
      faults.length > 0
        ? {}
        : attempt(['forms', slug], refuse, () => {
            const settings = readSettings(scope, given);
            requireSenderField(settings);
            return settings;
          });
    return [slug, { ...(settings as FormSettings), closed }] as const;
  });
  if (faults.length === 0) return new Map(stored);
  const sorted = faults.toSorted((a, b) => a.line - b.line || a.column - b.column);
  throw new FormFileFaulty(sorted.map((it) => `${file}:${it.line}:${it.column}: ${it.message}`).join('\n'));
}

type ConfigScope = Pick<Scope, 'config'>;
type Refuse = (path: readonly PropertyKey[], message: string) => void;
type Keyed = Readonly<Record<string, unknown>>;

function isKeyed(value: unknown): value is Keyed {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function formsIn(value: unknown, refuse: Refuse): Keyed {
  const { forms, ...others } = isKeyed(value) ? value : {};
  for (const key of Object.keys(others)) refuse(['', key], 'is unknown: forms go below "forms"');
  if (isKeyed(forms)) return forms;
  refuse(['', 'forms'], 'must be a map with the settings of each form by its slug');
  return {};
}

/** Nothing below the slug means a form without settings of its own. */
function readForm(scope: ConfigScope, slug: string, value: unknown, refuse: Refuse) {
  attempt(['forms', slug], refuse, () => requireSlug(slug));
  if (value !== null && !isKeyed(value)) refuse(['forms', slug], 'must be a map of settings');
  const settings: Record<string, unknown> = Object.fromEntries(settingNames.map((it) => [it, null]));
  for (const [key, raw] of Object.entries(isKeyed(value) ? value : {}))
    settings[key] = readSetting(scope, ['forms', slug, key], raw, refuse);
  return { ...(settings as unknown as FormSettings), closed: settings.closed === true };
}

/** A list is checked entry by entry, so that each fault has its line. */
function readSetting(scope: ConfigScope, path: readonly string[], raw: unknown, refuse: Refuse): unknown {
  const key = path.at(-1) as Setting;
  if (!Object.hasOwn(settingSchemas, key)) return refuse(path, unknownKey);
  const { data, error } = settingSchemas[key].safeParse(raw, { error: issueInWords });
  for (const fault of error?.issues.flatMap(eachFault) ?? []) refuse([...path, ...fault.path], fault.message);
  if (error !== undefined || key === 'closed') return data;
  if (key === 'closesAt') return readTime(scope, path, String(data), refuse);
  const entries = Array.isArray(data) && key !== 'fields' ? data.entries().toArray() : [];
  for (const [index, it] of entries) attempt([...path, index], refuse, () => readSettings(scope, { [key]: [it] }));
  if (entries.length === 0) attempt(path, refuse, () => readSettings(scope, { [key]: data }));
  return data;
}

function readTime({ config }: ConfigScope, path: readonly string[], text: string, refuse: Refuse): Date | undefined {
  const time = readWrittenTime(text);
  const at = time === undefined || time.zoned ? time?.at : zoneReader(config.timeZone)(time.at.getTime());
  if (at !== undefined && isInKnownYears(at)) return at;
  refuse(path, `"${text}" is not a time: write 2026-12-24T18:00, maybe with an offset such as +01:00`);
  return undefined;
}

function attempt<Result>(path: readonly PropertyKey[], refuse: Refuse, read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    refuse(path, error.message);
    return undefined;
  }
}

/** The known key that begins with the same letters, if at least three do. */
function nearestKey(key: string, known: readonly string[]): string {
  for (let start = key.toLowerCase(); start.length > 2; start = start.slice(0, -1)) {
    const near = known.find((it) => it.toLowerCase().startsWith(start));
    if (near !== undefined) return `; did you mean "${near}"?`;
  }
  return '';
}
