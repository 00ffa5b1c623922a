import { InvalidArgumentError, Option } from 'commander';
import { type CaptchaKind, captchaKinds } from '../../../captcha/kinds.ts';
import { Problem } from '../../../problems.ts';
import type { FormSettings } from '../../../services/forms/form-settings.ts';
import type { CliCommand } from '../../session/command.ts';
import { onlyGiven } from '../../session/options.ts';

/** The names that `--reset` accepts, and the settings that it empties. */
export const resettable = {
  name: 'name',
  recipients: 'recipients',
  'auto-reply': 'autoReply',
  captcha: 'captcha',
  redirect: 'redirectUrl',
  required: 'requiredFields',
  origins: 'origins',
  retention: 'retentionDays',
  'notify-limit': 'notifyLimit',
} as const satisfies Record<string, keyof FormSettings>;

export interface SettingOptions {
  name?: string;
  to?: string[];
  autoReply?: 'on' | 'off';
  captcha?: CaptchaKind;
  redirect?: string;
  require?: string[];
  origin?: string[];
  retention?: number;
  notifyLimit?: number;
}

export interface ChangeOptions extends SettingOptions {
  slug?: string;
  reset?: (keyof typeof resettable)[];
  reopen?: boolean;
}

export function addSettings(command: CliCommand): CliCommand {
  return command
    .option('--name <name>', 'its name, in notifications and on pages for visitors')
    .option('--to <address...>', 'who is notified about its messages')
    .addOption(new Option('--auto-reply <on|off>', 'whether senders get an automatic reply').choices(['on', 'off']))
    .addOption(new Option('--captcha <kind>', 'which captcha visitors solve').choices(captchaKinds))
    .option('--redirect <address>', 'where browsers without script go after a post')
    .option('--require <field...>', 'required fields besides email and message')
    .option('--origin <origin...>', 'the sites whose pages may post')
    .option('--retention <days>', 'how long its messages are kept; 0 for ever', readDays)
    .option('--notify-limit <n|off>', 'how many notifications an hour go out one by one', readNotifyLimit);
}

function readDays(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number of days, 0 for ever.');
  return Number(text);
}

/** @returns 0 for `off`. */
function readNotifyLimit(text: string): number {
  if (text === 'off') return 0;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number from 1, or off.');
}

export function settingsOf(options: SettingOptions): Partial<FormSettings> {
  const { name, captcha, to, redirect, require, origin, retention, autoReply, notifyLimit } = options;
  return onlyGiven({
    name,
    captcha,
    recipients: to,
    redirectUrl: redirect,
    requiredFields: require,
    origins: origin,
    retentionDays: retention,
    notifyLimit,
    autoReply: autoReply && autoReply === 'on',
  });
}

/** @throws {Problem} argument-invalid */
export function changesOf(options: ChangeOptions): Partial<FormSettings> & { slug?: string; open?: boolean } {
  const settings = settingsOf(options);
  const reset = Object.fromEntries((options.reset ?? []).map((it) => [resettable[it], null]));
  const both = Object.keys(reset).find((it) => it in settings);
  if (both !== undefined) throw new Problem('argument-invalid', `${both} cannot be both set and reset`);
  const changes = { ...settings, ...reset, ...onlyGiven({ slug: options.slug, open: options.reopen }) };
  if (Object.keys(changes).length === 0) throw new Problem('argument-invalid', 'say what to change; see --help');
  return changes;
}
