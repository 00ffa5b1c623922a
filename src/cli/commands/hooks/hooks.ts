import { Option } from 'commander';
import type { HookOutcome } from '../../../hooks/hook-sender.ts';
import { Problem } from '../../../problems.ts';
import type { HookSettings } from '../../../services/hooks/hook-settings.ts';
import type { HookView } from '../../../services/hooks/hooks.ts';
import type { Scope } from '../../../services/scope.ts';
import { type HookKind, hookEvents } from '../../../words.ts';
import { type Call, type CliCommand, notEmpty } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { onlyGiven } from '../../session/options.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import { type Output, plural } from '../../terminal/output.ts';
import { addDeliveryCommands } from './deliveries.ts';
import { printHook, printHooks } from './screens.ts';

export function addHookCommands(program: CliCommand): void {
  const hooks = program.command('hooks').description('Tell chats, phones and programs about messages and failed mail');
  const command = (verb: string, description: string) =>
    hooks
      .command(verb)
      .description(description)
      .argument('<name>', 'as shown by "hooks list"')
      .jsonOption()
      .examples(`ruffinweb hooks ${verb} example.com`, `ruffinweb hooks ${verb} example.com --json`);

  addSettings(hooks.command('add'))
    .description('Add a hook and send a test: once that is answered with 2xx, the hook is active')
    .argument('<url>', 'where to post; signed webhooks, except to Slack, Discord, Telegram and ntfy.sh')
    .option('--untested', 'make it active without a test')
    .jsonOption()
    .examples(
      'ruffinweb hooks add https://example.com/contact --form shop,jobs --events message.accepted',
      'ruffinweb hooks add https://ntfy.sh/my-secret-topic --name phone',
    )
    .run(addHook);

  hooks
    .command('list')
    .description('List the hooks; of an address only the host is shown')
    .jsonOption()
    .examples('ruffinweb hooks list', `ruffinweb hooks list --json | jq '.items[] | select(.failingSince)'`)
    .run(listHooks);

  addSettings(command('change', 'Change the given settings of a hook; the others stay'))
    .option('--url <url>', 'another address')
    .addOption(new Option('--reset <setting...>', 'use the default again').choices(Object.keys(resets)))
    .run(changeHook);

  command('show', 'Show one hook').run(showHook);
  command('test', 'Send a test; an untested or gone hook is active once it is answered with 2xx').run(testHook);
  command('pause', 'Let deliveries to a hook wait until "hooks resume"').run(setState('paused'));
  command('resume', 'Make a hook active, also one that is gone or untested').run(setState('active'));
  command('rotate-secret', 'Show a new secret of a webhook; for 24 hours both sign').run(rotateSecret);
  command('remove', 'Remove a hook with its deliveries').option('--yes', 'do not ask').run(removeHook);
  addDeliveryCommands(hooks);
}

const resets = { events: { events: null }, form: { forms: null }, content: { withContent: false } } as const;

type SettingOptions = Omit<HookSettings, 'kind' | 'forms'> &
  Partial<Record<HookKind, true>> & { form?: string[]; untested?: true; reset?: (keyof typeof resets)[] };

const presets: Record<Exclude<HookKind, 'webhook'>, string> = {
  slack: 'an incoming webhook of Slack',
  discord: 'a webhook of Discord',
  telegram: 'a Telegram bot: its sendMessage address with chat_id',
  ntfy: 'a topic of ntfy',
  apprise: 'the notify address of an Apprise API, which knows most other services',
};
const presetKinds = Object.keys(presets) as (keyof typeof presets)[];

function addSettings(command: CliCommand): CliCommand {
  const list = (text: string, before: string[] = []) => [...before, ...notEmpty(text).split(/\s*,\s*/)];
  for (const kind of presetKinds) {
    const others = presetKinds.filter((it) => it !== kind);
    command.addOption(new Option(`--${kind}`, `the URL is ${presets[kind]}`).conflicts(others));
  }
  const events = new Option('--events <event...>', 'what it is told about (default: all but message.held)');
  return command
    .option('--name <name>', 'your name for it')
    .addOption(events.choices(hookEvents).argParser(list))
    .option('--form <slug...>', 'only about messages of these forms', list)
    .option('--with-content', 'send what visitors wrote too')
    .option('--allow-http', 'without TLS, to a host in HOOK_ALLOW_HOSTS');
}

/** @throws {Problem} argument-invalid */
function settingsOf(options: SettingOptions): HookSettings {
  const { name, events, form: forms, withContent, allowHttp, url } = options;
  const kind = presetKinds.find((it) => options[it]);
  const given = onlyGiven({ name, events, forms, withContent, allowHttp, url, kind });
  const reset: HookSettings = Object.assign({}, ...(options.reset ?? []).map((it) => resets[it]));
  const both = Object.keys(reset).find((it) => it in given);
  if (both !== undefined) throw new Problem('argument-invalid', `${both} cannot be both set and reset`);
  return { ...given, ...reset };
}

const load = () => import('../../../services/hooks/hooks.ts');

async function sendTest(scope: Scope, name: string) {
  const [{ createHookSender }, { testHook }] = await Promise.all([import('../../../hooks/https-sender.ts'), load()]);
  await using sender = createHookSender({ allowHosts: scope.config.hookAllowHosts });
  return await testHook(scope, sender, name);
}

async function addHook(call: Call<SettingOptions>, url: string): Promise<void> {
  const { deps, options, output } = call;
  await runInScope(deps, load, async (scope, { addHook, setHookState }) => {
    const { hook, secret } = await addHook(scope, { ...settingsOf(options), url });
    // Before the test, which may take 20 seconds.
    if (secret !== null && !options.json) printSecret(output, secret);
    if (options.untested) report(call, { hook: await setHookState(scope, hook.name, 'active') }, { secret });
    else report(call, await sendTest(scope, hook.name), { secret });
  });
}

function printSecret(output: Output, secret: string): void {
  output.print(secret);
  output.note('\nIt is shown only this time. With it the receiver checks the signatures (Standard Webhooks).');
}

async function testHook(call: Call, name: string): Promise<void> {
  report(call, await runInScope(call.deps, load, (scope) => sendTest(scope, name)));
}

/** Says what the test got. Exits 4 if it was not accepted. */
function report(
  { deps, output }: Pick<Call, 'deps' | 'output'>,
  { hook, test }: { hook: HookView; test?: HookOutcome },
  more: object = {},
): void {
  const { result, code = null, reply } = test ?? { result: 'accepted', reply: '' };
  const isAccepted = result === 'accepted';
  if (!isAccepted) deps.setExitCode(exitCode.unhealthy);
  output.printResult({ ...hook, ...more, test: test ? { result, code, reply } : null }, () => {
    if (isAccepted)
      return output.note(`The hook "${hook.name}" ${test ? 'accepted the test and ' : ''}is ${hook.state}.`);
    const said = [code, reply].filter(Boolean).join(' ').replaceAll(/\s+/g, ' ').slice(0, 500);
    output.warn(`The hook "${hook.name}" did not accept the test: ${said}`);
    output.warn(`It is ${hook.state}. To try again: ruffinweb hooks test ${hook.name}`);
  });
}

async function listHooks({ deps, output }: Call): Promise<void> {
  const items = await runInScope(deps, load, (scope, { listHooks }) => listHooks(scope));
  output.printResult({ items, next: null }, () => {
    if (items.length === 0) output.note('No hook yet. Add one: ruffinweb hooks add <url>');
    else printHooks(output, items);
  });
}

async function showHook({ deps, output }: Call, name: string): Promise<void> {
  const hook = await runInScope(deps, load, (scope, { showHook }) => showHook(scope, name));
  output.printResult(hook, () => printHook(output, hook));
}

async function changeHook({ deps, options, output }: Call<SettingOptions>, name: string): Promise<void> {
  const settings = settingsOf(options);
  if (Object.keys(settings).length === 0) throw new Problem('argument-invalid', 'say what to change; see --help');
  const hook = await runInScope(deps, load, (scope, { changeHook }) => changeHook(scope, name, settings));
  output.printResult(hook, () => printHooks(output, [hook]));
}

function setState(state: 'active' | 'paused') {
  return async ({ deps, output }: Call, name: string): Promise<void> => {
    const hook = await runInScope(deps, load, (scope, { setHookState }) => setHookState(scope, name, state));
    output.printResult(hook, () => printHooks(output, [hook]));
  };
}

async function rotateSecret({ deps, output }: Call, name: string): Promise<void> {
  const { hook, secret } = await runInScope(deps, load, (scope, { rotateSecret }) => rotateSecret(scope, name));
  output.printResult({ ...hook, secret }, () => {
    printSecret(output, secret);
    output.note(`Both secrets sign until ${output.exactTime(hook.formerSecretUntil ?? '')}.`);
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
