import { type Command, InvalidArgumentError, Option } from 'commander';
import { type CaptchaKind, captchaKinds } from '../../../captcha/kinds.ts';
import { Problem } from '../../../problems.ts';
import type { FormSettings } from '../../../services/forms/form-settings.ts';
import type { GlobalOptions } from '../../terminal/output.ts';

/** What `--reset` takes, and what it empties. */
export const resettable = {
  name: 'name',
  recipients: 'recipients',
  'auto-reply': 'autoReply',
  captcha: 'captcha',
  redirect: 'redirectUrl',
  required: 'requiredFields',
  origins: 'origins',
  retention: 'retentionDays',
} as const satisfies Record<string, keyof FormSettings>;

export interface SettingOptions extends GlobalOptions {
  name?: string;
  to?: string[];
  autoReply?: 'on' | 'off';
  captcha?: CaptchaKind;
  redirect?: string;
  require?: string[];
  origin?: string[];
  retention?: number;
  json?: boolean;
}

export interface ChangeOptions extends SettingOptions {
  slug?: string;
  reset?: (keyof typeof resettable)[];
  reopen?: boolean;
}

export function addSettings(command: Command): void {
  command
    .option('--name <name>', 'what you call it')
    .option('--to <address...>', 'who is told about its messages')
    .addOption(new Option('--auto-reply <on|off>', 'whether senders get an automatic reply').choices(['on', 'off']))
    .addOption(new Option('--captcha <kind>', 'what visitors are asked for').choices(captchaKinds))
    .option('--redirect <address>', 'where browsers without script go after a post')
    .option('--require <field...>', 'fields that must be there beside email and message')
    .option('--origin <origin...>', 'the sites whose pages may post')
    .option('--retention <days>', 'how long its messages are kept; 0 for ever', readDays)
    .option('--json', 'print JSON');
}

function readDays(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number of days, 0 for ever.');
  return Number(text);
}

export function settingsOf(options: SettingOptions): Partial<FormSettings> {
  const { name, to, autoReply, captcha, redirect, require, origin, retention } = options;
  return {
    ...(name !== undefined && { name }),
    ...(to !== undefined && { recipients: to }),
    ...(autoReply !== undefined && { autoReply: autoReply === 'on' }),
    ...(captcha !== undefined && { captcha }),
    ...(redirect !== undefined && { redirectUrl: redirect }),
    ...(require !== undefined && { requiredFields: require }),
    ...(origin !== undefined && { origins: origin }),
    ...(retention !== undefined && { retentionDays: retention }),
  };
}

/** @throws {Problem} argument-invalid */
export function changesOf(options: ChangeOptions): Partial<FormSettings> & { slug?: string; open?: boolean } {
  const settings = settingsOf(options);
  const reset = Object.fromEntries((options.reset ?? []).map((it) => [resettable[it], null]));
  const both = Object.keys(reset).find((it) => it in settings);
  if (both !== undefined) throw new Problem('argument-invalid', `${both} cannot be both set and reset`);
  const changes = {
    ...settings,
    ...reset,
    ...(options.slug !== undefined && { slug: options.slug }),
    ...(options.reopen && { open: true }),
  };
  if (Object.keys(changes).length === 0) throw new Problem('argument-invalid', 'say what to change; see --help');
  return changes;
}
