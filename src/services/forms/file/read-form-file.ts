import * as z from 'zod';
import { Problem } from '../../../problems.ts';
import { decodeText } from '../../../text-file.ts';
import { readWrittenTime, zoneReader } from '../../../time-zone.ts';
import { isInKnownYears } from '../../clock.ts';
import type { Scope } from '../../scope.ts';
import { readSettings, requireFittingFields } from '../read-settings.ts';
import { eachFault, issueInWords } from '../settings-schema.ts';
import { type Fault, parseYaml } from './parse-yaml.ts';
import { fileSchema, type Setting, settingNames, settingSchemas } from './schema.ts';

/** What the file says about one form, as it is stored. */
type FileSettings = Partial<ReturnType<typeof readSettings>> & { closed: boolean };
export type FormFile = ReadonlyMap<string, FileSettings>;

/** A file with forms cannot be used. The message has a line for each fault, with its place. */
export class FormFileFaulty extends Error {
  override readonly name = 'FormFileFaulty';
}

const maxBytes = 300_000;
const maxFaults = 50;

/** @throws {FormFileFaulty} with the faults of the YAML, or else of the forms. @throws {TextFileFault} */
export function readFormFile(scope: ConfigScope, file: string, bytes: Buffer): FormFile {
  if (bytes.length > maxBytes) throw new FormFileFaulty(`${file}:1:1: is larger than ${maxBytes / 1000} kB`);
  const text = decodeText(bytes, file);
  const { value, faults, offsetOf } = parseYaml(text);
  if (faults.length > 0) throw faulty(file, text, faults);
  const { data, error } = fileSchema(formSchema(scope)).safeParse(value, { error: issueInWords });
  if (error === undefined) return new Map(Object.entries(data.forms));
  const found = error.issues.flatMap(eachFault).map(({ path, message }, index) => ({
    offset: index < maxFaults ? offsetOf(path) : 0,
    message: [path.slice(path.length > 1 ? 1 : 0).join('.'), message].filter((it) => it !== '').join(': '),
  }));
  throw faulty(file, text, found);
}

function faulty(file: string, text: string, faults: readonly Fault[]): FormFileFaulty {
  const lines = faults
    .slice(0, maxFaults)
    .toSorted((a, b) => a.offset - b.offset)
    .map(({ offset, message }) => {
      const before = text.slice(0, offset).split('\n');
      // Editors count an emoji as one character.
      return `${file}:${before.length}:${[...(before.at(-1) ?? '')].length + 1}: ${message}`;
    });
  if (faults.length > maxFaults) lines.push(`${file}: and ${faults.length - maxFaults} more faults`);
  return new FormFileFaulty([...new Set(lines)].join('\n'));
}

type ConfigScope = Pick<Scope, 'config'>;

/** Checks each setting as `forms change` does. Nothing below the slug means a form without settings of its own. */
function formSchema(scope: ConfigScope) {
  const settings = settingNames.map((it) => [it, settingSchemas[it].transform(storedAs(scope, it))] as const);
  return z
    .strictObject(Object.fromEntries(settings))
    .partial()
    .nullable()
    .transform((given, context) => {
      const form = { closed: false, ...given } as FileSettings;
      refuseAs(context, [], () => requireFittingFields(form));
      return form;
    });
}

function storedAs(scope: ConfigScope, setting: Setting) {
  return (value: unknown, context: z.RefinementCtx): unknown => {
    if (setting === 'closed') return value;
    if (setting === 'closesAt') return readTime(scope, String(value), context);
    // Entry by entry, so that each fault has its line.
    const entries = Array.isArray(value) ? [...value.entries()] : [];
    for (const [index, it] of entries) refuseAs(context, [index], () => readSettings(scope, { [setting]: [it] }));
    if (context.issues.length > 0) return value;
    return refuseAs(context, [], () => readSettings(scope, { [setting]: value })[setting]);
  };
}

function readTime({ config }: ConfigScope, text: string, context: z.RefinementCtx): Date | undefined {
  const time = readWrittenTime(text);
  const at = time === undefined || time.zoned ? time?.at : zoneReader(config.timeZone)(time.at.getTime());
  if (at !== undefined && isInKnownYears(at)) return at;
  context.addIssue(`"${text}" is not a time: write 2026-12-24T18:00, maybe with an offset such as +01:00`);
  return undefined;
}

/** Makes a refusal a fault of this place. */
function refuseAs<Result>(context: z.RefinementCtx, path: PropertyKey[], read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    context.addIssue({ code: 'custom', path, message: error.message });
    return undefined;
  }
}
