import { type Command, InvalidArgumentError, Option } from 'commander';
import { type CaptchaKind, captchaKinds } from '../../captcha-kinds.ts';
import { Problem } from '../../problems.ts';
import type { FormSettings, FormView } from '../../services/form-settings.ts';
import type { Scope } from '../../services/scope.ts';
import type { Deps } from '../deps.ts';
import { addExamples, type GlobalOptions, optionsOf } from '../options.ts';
import { Output } from '../output.ts';
import { showSafe } from '../safe-text.ts';
import { openCommandContext } from '../session.ts';

/** What `--reset` takes, and what it empties. */
const resettable = {
  name: 'name',
  recipients: 'recipients',
  'auto-reply': 'autoReply',
  captcha: 'captcha',
  redirect: 'redirectUrl',
  required: 'requiredFields',
  origins: 'origins',
  retention: 'retentionDays',
} as const satisfies Record<string, keyof FormSettings>;

interface SettingOptions extends GlobalOptions {
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

interface ChangeOptions extends SettingOptions {
  slug?: string;
  reset?: (keyof typeof resettable)[];
  reopen?: boolean;
}

export function addFormCommands(program: Command, deps: Deps): void {
  const forms = program.command('forms').description('Public forms: each with its address and its own settings');

  const list = forms
    .command('list')
    .description('List the forms')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      await using opened = await open(deps);
      const items = await opened.services.listForms(opened.scope);
      if (options.json) output.printJson({ items, next: null });
      else printForms(output, items);
    });
  addExamples(list, [
    'ruffinweb forms list',
    `ruffinweb forms list --json | jq -r '.items[] | select(.state == "open") | .address'`,
  ]);

  const add = forms
    .command('add')
    .description('Make a form, and print the HTML to paste into a page')
    .argument('<slug>', 'what stands in its address: small letters, digits and -')
    .action(async (slug: string, _options, command: Command) => {
      const options = optionsOf<SettingOptions>(command);
      const output = new Output(deps, options);
      await using opened = await open(deps);
      const form = await opened.services.addForm(opened.scope, slug, settingsOf(options));
      const { formSnippet } = await import('../../services/form-snippet.ts');
      const snippet = formSnippet(opened.scope.config.publicUrl, form);
      if (options.json) {
        output.printJson({ ...form, snippet });
        return;
      }
      output.note(
        `The form "${slug}" is there. Posts go to ${form.address}, and mail to ${form.effective.recipients.join(', ')}.\n`,
      );
      for (const line of snippet.split('\n')) output.print(showSafe(line));
    });
  addSettings(add);
  addExamples(add, [
    'ruffinweb forms add shop --to shop@example.com --require company',
    'ruffinweb forms add jobs --captcha altcha --auto-reply off --retention 180 > jobs.html',
  ]);

  const show = forms
    .command('show')
    .description('Show one form and what is in force for it')
    .argument('<slug>', 'as shown by "forms list"')
    .option('--utc', 'print exact times')
    .option('--json', 'print JSON')
    .action(async (slug: string, _options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      await using opened = await open(deps);
      const form = await opened.services.showForm(opened.scope, slug);
      if (options.json) output.printJson(form);
      else printForm(output, form);
    });
  addExamples(show, ['ruffinweb forms show contact', 'ruffinweb forms show contact --json']);

  const change = forms
    .command('change')
    .description('Change settings of a form; what is not named stays')
    .argument('<slug>', 'as shown by "forms list"')
    .option('--slug <slug>', 'a new slug; pages that post to the old address must be changed too')
    .addOption(new Option('--reset <setting...>', 'back to what the environment says').choices(Object.keys(resettable)))
    .option('--reopen', 'take messages again')
    .action(async (slug: string, _options, command: Command) => {
      const options = optionsOf<ChangeOptions>(command);
      const output = new Output(deps, options);
      const changes = changesOf(options);
      await using opened = await open(deps);
      const form = await opened.services.changeForm(opened.scope, slug, changes);
      if (options.json) output.printJson(form);
      else printForm(output, form);
    });
  addSettings(change);
  addExamples(change, [
    'ruffinweb forms change shop --to shop@example.com office@example.com --reset captcha',
    'ruffinweb forms change shop --reopen',
  ]);

  const close = forms
    .command('close')
    .description('Take no more messages: posts are answered 410; what is stored stays')
    .argument('<slug>', 'as shown by "forms list"')
    .option('--json', 'print JSON')
    .action(async (slug: string, _options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      await using opened = await open(deps);
      const form = await opened.services.changeForm(opened.scope, slug, { open: false });
      if (options.json) output.printJson(form);
      else {
        printForms(output, [form]);
        output.note(`\nOpen it again: ruffinweb forms change ${form.slug} --reopen`);
      }
    });
  addExamples(close, ['ruffinweb forms close shop', 'ruffinweb forms close shop --json']);
}

async function open(
  deps: Deps,
): Promise<AsyncDisposable & { scope: Scope; services: typeof import('../../services/form-settings.ts') }> {
  await using opened = new AsyncDisposableStack();
  const context = opened.use(await openCommandContext(deps));
  const [{ openScope }, services] = await Promise.all([
    import('../../services/scope.ts'),
    import('../../services/form-settings.ts'),
  ]);
  const owned = opened.move();
  return { scope: openScope(context), services, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function addSettings(command: Command): void {
  command
    .option('--name <name>', 'what you call it')
    .option('--to <address...>', 'who is told of its messages')
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

function settingsOf(options: SettingOptions): Partial<FormSettings> {
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
function changesOf(options: ChangeOptions): Partial<FormSettings> & { slug?: string; open?: boolean } {
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

function printForms(output: Output, forms: readonly FormView[]): void {
  const { style } = output;
  output.printTable(forms, [
    { header: 'SLUG', text: (it) => it.slug },
    {
      header: 'STATE',
      text: (it) => it.state,
      style: (text, it) => (it.state === 'open' ? style.good(text) : style.bad(text)),
    },
    { header: 'NAME', text: (it) => it.name ?? '', least: 8, omit: 3 },
    { header: 'RECIPIENTS', text: (it) => it.effective.recipients.join(' '), least: 16, omit: 4 },
    { header: 'REPLY', text: (it) => onOff(it.effective.autoReply), omit: 2 },
    { header: 'CAPTCHA', text: (it) => it.effective.captcha, omit: 1 },
  ]);
}

function printForm(output: Output, form: FormView): void {
  const { effective } = form;
  const inherited = (own: unknown, variable: string) => (own === null ? ` (as ${variable} says)` : '');
  output.printDetails([
    ['slug', form.slug, output.style.bold],
    ['name', form.name],
    ['state', form.state, form.state === 'open' ? output.style.good : output.style.bad],
    ['address', form.address],
    ['recipients', `${effective.recipients.join(', ')}${inherited(form.recipients, 'NOTIFY_TO')}`],
    ['auto-reply', `${onOff(effective.autoReply)}${inherited(form.autoReply, 'AUTO_REPLY')}`],
    ['captcha', `${effective.captcha}${inherited(form.captcha, 'CAPTCHA')}`],
    ['redirect', form.redirectUrl ?? 'our own thank-you page'],
    ['required', ['email', 'message', ...(form.requiredFields ?? [])].join(', ')],
    ['origins', form.origins?.join(', ') ?? 'as ALLOWED_ORIGINS says'],
    ['retention', `${daysInWords(effective.retentionDays)}${inherited(form.retentionDays, 'RETENTION_DAYS')}`],
    ['created', output.timeInFull(form.createdAt)],
    ['closed', form.closedAt && output.timeInFull(form.closedAt)],
    ['id', form.id, output.style.dim],
  ]);
}

function daysInWords(days: number): string {
  return days === 0 ? 'for ever' : `${days} ${days === 1 ? 'day' : 'days'}`;
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}
