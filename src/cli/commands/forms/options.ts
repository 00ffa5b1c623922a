import { InvalidArgumentError, Option } from 'commander';
import { type CaptchaKind, captchaKinds } from '../../../captcha/kinds.ts';
import { Problem } from '../../../problems.ts';
import type { FormSettings } from '../../../services/forms/read-settings.ts';
import { type FormLanguage, formLanguages } from '../../../words.ts';
import type { CliCommand } from '../../session/command.ts';
import { onlyGiven } from '../../session/options.ts';
import { readFuture } from '../../terminal/times.ts';

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
  fields: 'fields',
  optional: 'optionalFields',
  routes: 'routes',
  closes: 'closesAt',
  limit: 'messageLimit',
  'closed-text': 'closedText',
  language: 'language',
} as const satisfies Record<string, keyof FormSettings>;

type Route = NonNullable<FormSettings['routes']>[number];

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
  fields?: 'any';
  optional?: string[];
  route?: Route[];
  closes?: string;
  limit?: number;
  closedText?: string;
  language?: FormLanguage;
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
    .option('--notify-limit <n|off>', 'how many notifications an hour go out one by one', readNotifyLimit)
    .addOption(
      new Option('--fields <any>', 'take whatever fields come; a file declares them one by one').choices(['any']),
    )
    .option('--optional <field...>', 'which of email and message may be missing')
    .option('--route <rule...>', "other recipients for a value: 'topic=sales -> sales@example.com'", readRoute)
    .option('--closes <time>', 'when it stops accepting messages, such as 2026-12-24T18:00')
    .option('--limit <n>', 'how many messages it accepts', readLimit)
    .option('--closed-text <text>', 'what visitors are told when it is closed or full')
    .addOption(
      new Option('--language <language>', 'of its mails and pages; auto follows the page').choices(formLanguages),
    );
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

function readLimit(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number from 1.');
}

/** @returns what was given before, and this one. */
function readRoute(text: string, before: readonly Route[] = []): Route[] {
  const [, field, value, to] = /^\s*([^=]+?)\s*=\s*(.+?)\s*->\s*(.+?)\s*$/.exec(text) ?? [];
  if (field === undefined || value === undefined || to === undefined) {
    throw new InvalidArgumentError("It must be like 'topic=sales -> sales@example.com'.");
  }
  return [...before, { field, value, to: to.split(',').map((it) => it.trim()) }];
}

export function settingsOf(options: SettingOptions, now: Date): Partial<FormSettings> {
  const { name, captcha, to, redirect, require, origin, retention, autoReply, notifyLimit } = options;
  const { fields, optional, route, closes, limit, closedText, language } = options;
  return onlyGiven({
    name,
    captcha,
    recipients: to,
    redirectUrl: redirect,
    requiredFields: require,
    origins: origin,
    retentionDays: retention,
    notifyLimit,
    fields,
    optionalFields: optional?.flatMap((it) => it.split(',').map((name) => name.trim())),
    routes: route,
    closesAt: closes === undefined ? undefined : readFuture('--closes', closes, now),
    messageLimit: limit,
    closedText,
    language,
    autoReply: autoReply && autoReply === 'on',
  });
}

/** @throws {Problem} argument-invalid */
export function changesOf(
  options: ChangeOptions,
  now: Date,
): Partial<FormSettings> & { slug?: string; open?: boolean } {
  const settings = settingsOf(options, now);
  const reset = Object.fromEntries((options.reset ?? []).map((it) => [resettable[it], null]));
  const both = Object.keys(reset).find((it) => it in settings);
  if (both !== undefined) throw new Problem('argument-invalid', `${both} cannot be both set and reset`);
  const changes = { ...settings, ...reset, ...onlyGiven({ slug: options.slug, open: options.reopen }) };
  if (Object.keys(changes).length === 0) throw new Problem('argument-invalid', 'say what to change; see --help');
  return changes;
}
