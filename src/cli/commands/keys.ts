import { type Command, Option } from 'commander';
import type { KeyView } from '../../services/api-keys/api-keys.ts';
import { keyScopes } from '../../words.ts';
import { addExamples, optionsOf } from '../session/options.ts';
import { runInScope } from '../session/run-in-scope.ts';
import { confirmOrRefuse } from '../terminal/confirm.ts';
import type { Deps } from '../terminal/deps.ts';
import { type DataOptions, type GlobalOptions, Output } from '../terminal/output.ts';
import { readFuture } from '../terminal/times.ts';

interface CreateOptions extends DataOptions {
  name: string;
  scope: string[];
  form?: string[];
  expires?: string;
}

export function addKeyCommands(program: Command, deps: Deps): void {
  const keys = program.command('keys').description('API keys: what lets a program use the HTTP API');

  const list = keys
    .command('list')
    .description('List the keys, the newest first; what they are is known to their holders alone')
    .option('--utc', 'print exact times')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      const items = await runInScope(deps, loadKeys, (scope, { listKeys }) => listKeys(scope));
      if (options.json) output.printJson({ items, next: null });
      else if (items.length === 0) output.note('No key yet. Make one: ruffinweb keys create --name shop --scope read');
      else printKeys(output, items);
    });
  addExamples(list, [
    'ruffinweb keys list',
    `ruffinweb keys list --json | jq -r '.items[] | select(.state == "active") | .name'`,
  ]);

  const create = keys
    .command('create')
    .description('Make a key, and show it this one time')
    .requiredOption('--name <name>', 'what you call it: who or what has it')
    .addOption(new Option('--scope <scope...>', 'what it may do').choices(keyScopes).makeOptionMandatory())
    .option('--form <slug...>', 'messages and emails of these forms alone')
    .option('--expires <time>', 'until when: 90d from now, or 2027-01-01 (default: for ever)')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf<CreateOptions>(command);
      const output = new Output(deps, options);
      const expiresAt =
        options.expires === undefined ? undefined : readFuture('--expires', options.expires, new Date());
      const request = {
        name: options.name,
        scopes: options.scope,
        ...(options.form !== undefined && { forms: options.form }),
        ...(expiresAt !== undefined && { expiresAt }),
      };
      const made = await runInScope(deps, loadKeys, (scope, { createKey }) => createKey(scope, request));
      if (options.json) {
        output.printJson(made);
        return;
      }
      output.print(made.key);
      output.note(`\nThis is the only time that it is shown. Send it as "Authorization: Bearer ${made.beginning}_…".`);
      output.note(
        `It may ${made.scopes.join(' and ')}${whereOf(made)}, ${made.expiresAt === null ? 'for ever' : `until ${output.timeInFull(made.expiresAt)}`}.`,
      );
      output.note(`End it with: ruffinweb keys revoke ${made.beginning}`);
    });
  addExamples(create, [
    'ruffinweb keys create --name dashboard --scope read --expires 90d',
    'ruffinweb keys create --name shop --scope read write --form shop --json',
  ]);

  const revoke = keys
    .command('revoke')
    .description('End a key at once')
    .argument('<key>', 'how it begins or its id, as shown by "keys list"')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .action(async (which: string, _options, command: Command) => {
      const options = optionsOf<GlobalOptions & { yes?: boolean; json?: boolean }>(command);
      const output = new Output(deps, options);
      const { key, changed } = await runInScope(deps, loadKeys, async (scope, { findKey, revokeKey }) => {
        const { name, state } = await findKey(scope, which);
        if (state !== 'revoked')
          await confirmOrRefuse(
            deps,
            options,
            `Revoke the key "${name}"? The programs that use it stop working at once.`,
          );
        return await revokeKey(scope, which);
      });
      if (options.json) output.printJson(key);
      else printKeys(output, [key]);
      if (!changed) output.note('\nIt was revoked before.');
    });
  addExamples(revoke, ['ruffinweb keys revoke rw_4k2m9q7t1x', 'ruffinweb keys revoke rw_4k2m9q7t1x --yes --json']);
}

const loadKeys = () => import('../../services/api-keys/api-keys.ts');

function whereOf({ forms }: KeyView): string {
  return forms === null ? '' : ` messages and emails of ${forms.join(', ')}`;
}

function printKeys(output: Output, keys: readonly KeyView[]): void {
  const { style } = output;
  output.printTable(keys, [
    { header: 'KEY', text: (it) => it.beginning },
    { header: 'NAME', text: (it) => it.name, least: 8 },
    {
      header: 'STATE',
      text: (it) => it.state,
      style: (text, it) => (it.state === 'active' ? style.good(text) : style.bad(text)),
    },
    { header: 'SCOPES', text: (it) => it.scopes.join(' ') },
    { header: 'FORMS', text: (it) => it.forms?.join(' ') ?? 'all', least: 6, omit: 3 },
    { header: 'USED', text: (it) => (it.lastUsedAt === null ? 'never' : output.time(it.lastUsedAt)), omit: 1 },
    { header: 'EXPIRES', text: (it) => (it.expiresAt === null ? 'never' : output.time(it.expiresAt)), omit: 2 },
    { header: 'CREATED', text: (it) => output.time(it.createdAt), style: style.dim, omit: 4 },
  ]);
}
