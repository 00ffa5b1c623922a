import { Option } from 'commander';
import type { HookSettings, HookView } from '../../../services/hooks/hooks.ts';
import type { Scope } from '../../../services/scope.ts';
import { type HookKind, hookEvents, presetKinds } from '../../../words.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { onlyGiven } from '../../session/options.ts';
import { unopened } from '../../session/print-page.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import { type Output, plural } from '../../terminal/output.ts';
import { addDeliveryCommands } from './deliveries.ts';

export function addHookCommands(program: CliCommand): void {
  const hooks = program.command('hooks').description('Tell chats, phones and programs about messages and failed mail');
  const command = (verb: string, description: string, act: Act, flags = '') =>
    hooks
      .command(verb)
      .description(description)
      .argument('<name>', 'as shown by "hooks list"')
      .jsonOption()
      .examples(`ruffinweb hooks ${verb} crm${flags}`, `ruffinweb hooks ${verb} crm${flags} --json`)
      .run(act);

  const add = addSettings(hooks.command('add'));
  for (const kind of presetKinds) {
    const others = presetKinds.filter((it) => it !== kind);
    add.addOption(new Option(`--${kind}`, `post in the format of ${kind}`).conflicts(others));
  }
  add
    .description('Add a hook and send a test: once that is answered with 2xx, the hook is active')
    .argument('<url>', 'where to post; Slack, Discord, Telegram and ntfy.sh are recognized, others get signed webhooks')
    .option('--untested', 'make it active without a test')
    .jsonOption()
    .examples(
      'ruffinweb hooks add https://example.com/contact --name crm --form shop jobs --events message.accepted',
      'ruffinweb hooks add https://ntfy.sh/my-secret-topic --name phone',
    )
    .run(addHook);

  hooks
    .command('list')
    .description('List the hooks; of an address only the host is shown')
    .jsonOption()
    .examples('ruffinweb hooks list', `ruffinweb hooks list --json | jq '.items[] | select(.failingSince)'`)
    .run(listHooks);

  addSettings(command('change', 'Change the given settings of a hook; the others stay', changeHook, ' --form shop'))
    .option('--url <url>', 'another address')
    .addOption(new Option('--all-forms', 'about messages of every form').conflicts('form'))
    .addOption(new Option('--without-content', 'send nothing that visitors wrote').conflicts('withContent'));
  command('show', 'Show one hook', showHook);
  command('test', 'Send a test; an untested or gone hook is active once it is answered with 2xx', testHook);
  command('pause', 'Let deliveries to a hook wait until "hooks resume"', setState('paused'));
  command('resume', 'Make a hook active, also one that is gone or untested', setState('active'));
  command('rotate-secret', 'Show a new secret of a webhook; for 24 hours both sign', rotateSecret);
  command('remove', 'Remove a hook with its deliveries', removeHook, ' --yes').option('--yes', 'do not ask');
  addDeliveryCommands(hooks);
}

type SettingOptions = Omit<HookSettings, 'kind' | 'forms'> &
  Partial<Record<HookKind | 'untested' | 'allForms' | 'withoutContent', true>> & { form?: string[] };

function addSettings(command: CliCommand): CliCommand {
  const events = new Option('--events <event...>', 'what it is told about (default: all but message.held)');
  return command
    .option('--name <name>', 'your name for it')
    .addOption(events.choices(hookEvents))
    .option('--form <slug...>', 'only about messages of these forms')
    .option('--with-content', 'send what visitors wrote too')
    .option('--allow-http', 'let the URL start with http://, for a host in HOOK_ALLOW_HOSTS');
}

function settingsOf(options: SettingOptions): HookSettings {
  const { name, url, events, form, allForms, withContent, withoutContent, allowHttp } = options;
  const kind = presetKinds.find((it) => options[it]);
  const forms = allForms ? null : form;
  return onlyGiven({ name, url, kind, events, forms, withContent: withoutContent ? false : withContent, allowHttp });
}

const load = () => import('../../../services/hooks/hooks.ts');
type Services = Awaited<ReturnType<typeof load>>;

type Act = (call: Call<SettingOptions>, name: string) => Promise<void>;

/** A command that changes one hook, if it does, and shows it. */
function shown(
  act: (scope: Scope, services: Services, name: string, options: SettingOptions) => Promise<HookView>,
): Act {
  return async ({ deps, options, output }, name) => {
    const hook = await runInScope(deps, load, (scope, services) => act(scope, services, name, options));
    output.printResult(hook, () => printHook(output, hook));
  };
}

const showHook = shown((scope, it, name) => it.showHook(scope, name));
const changeHook = shown((scope, it, name, options) => it.changeHook(scope, name, settingsOf(options)));
const setState = (state: 'active' | 'paused') => shown((scope, it, name) => it.changeHook(scope, name, { state }));

async function addHook(call: Call<SettingOptions>, url: string): Promise<void> {
  const { deps, options, output } = call;
  await runInScope(deps, load, async (scope, { addHook, testHook }) => {
    const state = options.untested ? 'active' : 'untested';
    const hook = await addHook(scope, { ...settingsOf(options), url, state });
    // Before the test, which may take 20 seconds.
    if (hook.secret !== null && !options.json) printSecret(output, hook.secret);
    report(call, { ...hook, test: null, ...(!options.untested && (await testHook(scope, hook.name))) });
  });
}

function printSecret(output: Output, secret: string): void {
  output.print(secret);
  output.note('\nThis secret is shown only this time. With it your program verifies signatures (Standard Webhooks).');
}

async function testHook(call: Call, name: string): Promise<void> {
  report(call, await runInScope(call.deps, load, (scope, { testHook }) => testHook(scope, name)));
}

type Tested = HookView & { test: Awaited<ReturnType<Services['testHook']>>['test'] | null };

/** Says what the test got. Exits 4 if it was not accepted. */
function report({ deps, output }: Pick<Call, 'deps' | 'output'>, hook: Tested): void {
  const { name, state, test } = hook;
  const isRefused = test !== null && test.result !== 'accepted';
  if (isRefused) deps.setExitCode(exitCode.unhealthy);
  output.printResult(hook, () => {
    if (!isRefused) return output.note(`The hook "${name}" ${test ? 'accepted the test and ' : ''}is ${state}.`);
    const said = [test.code, test.reply].filter(Boolean).join(' ').replaceAll(/\s+/g, ' ').slice(0, 500);
    output.warn(`The hook "${name}" did not accept the test: ${said}`);
    output.warn(`It is ${state}. To try again: ruffinweb hooks test ${name}`);
  });
}

async function listHooks({ deps, output }: Call): Promise<void> {
  const items = await runInScope(deps, load, (scope, { listHooks }) => listHooks(scope));
  output.printResult({ items, next: null }, () => {
    if (items.length === 0) output.note('No hook yet. Add one: ruffinweb hooks add <url>');
    else printHooks(output, items);
  });
}

async function rotateSecret({ deps, output }: Call, name: string): Promise<void> {
  const hook = await runInScope(deps, load, (scope, { rotateSecret }) => rotateSecret(scope, name));
  output.printResult(hook, () => {
    printSecret(output, hook.secret);
    output.note('For 24 hours the secret before it signs too.');
  });
}

async function removeHook({ deps, options, output }: Call, name: string): Promise<void> {
  await runInScope(deps, load, async (scope, { showHook, removeHook }) => {
    const { queued } = await showHook(scope, name);
    const what = `with ${plural(queued, 'queued delivery', 'queued deliveries')}`;
    await confirmOrRefuse(deps, options, `Remove the hook "${name}" for good, ${what}?`);
    await removeHook(scope, name);
    output.printResult({ name, removed: true, queued }, () => output.print(`The hook "${name}" was removed, ${what}.`));
  });
}

function printHooks(output: Output, hooks: readonly HookView[]): void {
  output.printTable(hooks, [
    { header: 'NAME', text: (it) => it.name },
    { header: 'KIND', text: (it) => it.kind, omit: 3 },
    { header: 'STATE', text: stateOf, style: (text, it) => paintState(output, it)(text) },
    { header: 'ADDRESS', text: (it) => it.address ?? unopened, minWidth: 8, omit: 4 },
    { header: 'QUEUED', text: (it) => String(it.queued || ''), align: 'right', omit: 1 },
    { header: 'FAILED', text: (it) => String(it.failed || ''), align: 'right', omit: 2, style: output.style.bad },
  ]);
}

function stateOf({ state, failingSince }: HookView): string {
  return state === 'active' && failingSince !== null ? 'failing' : state;
}

function paintState({ style }: Output, hook: HookView): (text: string) => string {
  return stateOf(hook) === 'active' ? style.good : hook.state === 'paused' ? style.warning : style.bad;
}

function printHook(output: Output, hook: HookView): void {
  output.printDetails([
    ['name', hook.name, output.style.bold],
    ['kind', hook.kind],
    ['state', stateOf(hook), paintState(output, hook)],
    ['failing since', hook.failingSince && output.timeInFull(hook.failingSince)],
    ['address', hook.address ?? unopened],
    ['events', hook.events.join(', ')],
    ['forms', hook.forms?.join(', ') ?? 'all'],
    ['content', hook.withContent ? 'with what visitors wrote' : 'without what visitors wrote'],
    ['deliveries', `${hook.queued} queued, ${hook.failed} failed`],
    ['created', output.timeInFull(hook.createdAt)],
  ]);
  const { name, state } = hook;
  if (state === 'gone' || state === 'untested')
    output.note(`\nNothing is stored for it. When it answers again: ruffinweb hooks test ${name}`);
}
