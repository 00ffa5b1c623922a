import type { ProblemCode } from '../../problems.ts';

/** Scripts rely on these numbers. */
export const exitCode = {
  done: 0,
  refused: 1,
  misused: 2,
  unhealthy: 4,
  ourFault: 70,
  interrupted: 130,
} as const;

const { refused, misused, unhealthy, ourFault, interrupted } = exitCode;

const exitCodes: Partial<Record<ProblemCode, number>> = {
  'schema-behind': unhealthy,
  'schema-too-new': unhealthy,
  'keys-wrong': misused,
  'argument-invalid': misused,
  unexpected: ourFault,
};

export function exitCodeOf(code: ProblemCode): number {
  return exitCodes[code] ?? refused;
}

/** Exit codes of other expected errors, by name: importing their classes would load the modules that throw them. */
export const exitCodeOfName: Readonly<Record<string, number>> = {
  ConfigFaulty: misused,
  SettingsUnreadable: misused,
  TextFileFault: misused,
  FormFileFaulty: misused,
  KeysWrong: misused,
  BackupKeysWrong: misused,
  TemplateFault: misused,
  BackupFault: refused,
  ImportRunning: refused,
  OldDatabaseUnknown: misused,
  OldDatabaseUnreadable: refused,
  EmbeddedNotRunning: refused,
  EmbeddedUnavailable: refused,
  TablesBusy: refused,
  CannotListen: refused,
  Refusal: refused,
  Interrupted: interrupted,
};
