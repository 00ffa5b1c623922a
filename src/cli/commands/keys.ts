import { Option } from 'commander';
import type { KeyView } from '../../services/api-keys/api-keys.ts';
import { keyScopes } from '../../words.ts';
import type { Call, CliCommand } from '../session/command.ts';
import { onlyGiven } from '../session/options.ts';
import { runInScope } from '../session/run-in-scope.ts';
import { confirmOrRefuse } from '../terminal/confirm.ts';
import type { Output } from '../terminal/output.ts';
import { readFuture } from '../terminal/times.ts';

export function addKeyCommands(program: CliCommand): void {
  const keys = program.command('keys').description('API keys, with which programs use the HTTP API');

  keys
    .command('list')
    .description('List the API keys, newest first; the secret part is known only to their holders')
    .jsonOption()
    .examples(
      'ruffinweb keys list',
      `ruffinweb keys list --json | jq -r '.items[] | select(.state == "active") | .name'`,
    )
    .run(listKeys);

  keys
    .command('create')
    .description('Create an API key and show it, this one time')
    .requiredOption('--name <name>', 'your name for it: who or what uses it')
    .addOption(new Option('--scope <scope...>', 'what it may do').choices(keyScopes).makeOptionMandatory())
    .option('--form <slug...>', 'only messages and emails of these forms')
    .option('--expires <time>', 'when it expires: 90d from now, or 2027-01-01 in your time zone (default: never)')
    .jsonOption()
    .examples(
      'ruffinweb keys create --name dashboard --scope read --expires 90d',
      'ruffinweb keys create --name shop --scope read write --form shop --json',
    )
    .run(createKey);

  keys
    .command('revoke')
    .description('Revoke an API key; it stops working at once')
    .argument('<key>', 'its beginning or its id, as shown by "keys list"')
    .option('--yes', 'do not ask')
    .jsonOption()
    .examples('ruffinweb keys revoke rw_4k2m9q7t1x', 'ruffinweb keys revoke rw_4k2m9q7t1x --yes --json')
    .run(revokeKey);
}

const loadKeys = () => import('../../services/api-keys/api-keys.ts');

async function listKeys({ deps, output }: Call): Promise<void> {
  const items = await runInScope(deps, loadKeys, (scope, { listKeys }) => listKeys(scope));
  output.printResult({ items, next: null }, () => {
    if (items.length > 0) printKeys(output, items);
    else output.note('No key yet. Create one: ruffinweb keys create --name shop --scope read');
  });
}

interface CreateOptions {
  name: string;
  scope: string[];
  form?: string[];
  expires?: string;
}

async function createKey({ deps, options, output }: Call<CreateOptions>): Promise<void> {
  const { name, scope: scopes, form: forms, expires } = options;
  const expiresAt = expires === undefined ? undefined : readFuture('--expires', expires, new Date(), options.utc);
  const request = { name, scopes, ...onlyGiven({ forms, expiresAt }) };
  const made = await runInScope(deps, loadKeys, (scope, { createKey }) => createKey(scope, request));
  output.printResult(made, () => {
    output.print(made.key);
    output.note(`\nIt is shown only this time. Send it as "Authorization: Bearer ${made.beginning}_…".`);
    const where = made.forms === null ? '' : ` messages and emails of ${made.forms.join(', ')}`;
    const until = made.expiresAt === null ? 'and never expires' : `until ${output.timeInFull(made.expiresAt)}`;
    output.note(`It may ${made.scopes.join(' and ')}${where}, ${until}.`);
    output.note(`To revoke it: ruffinweb keys revoke ${made.beginning}`);
  });
}

async function revokeKey({ deps, options, output }: Call, which: string): Promise<void> {
  const { key, changed } = await runInScope(deps, loadKeys, async (scope, { findKey, revokeKey }) => {
    const { name, state } = await findKey(scope, which);
    const question = `Revoke the key "${name}"? The programs that use it stop working at once.`;
    if (state !== 'revoked') await confirmOrRefuse(deps, options, question);
    return await revokeKey(scope, which);
  });
  output.printResult(key, () => printKeys(output, [key]));
  if (!changed) output.note('\nIt was revoked before.');
}

function printKeys(output: Output, keys: readonly KeyView[]): void {
  const { style } = output;
  output.printTable(keys, [
    { header: 'KEY', text: (it) => it.beginning },
    { header: 'NAME', text: (it) => it.name, minWidth: 8 },
    {
      header: 'STATE',
      text: (it) => it.state,
      style: (text, it) => (it.state === 'active' ? style.good(text) : style.bad(text)),
    },
    { header: 'SCOPES', text: (it) => it.scopes.join(' ') },
    { header: 'FORMS', text: (it) => it.forms?.join(' ') ?? 'all', minWidth: 6, omit: 3 },
    { header: 'USED', text: (it) => (it.lastUsedAt === null ? 'never' : output.time(it.lastUsedAt)), omit: 1 },
    { header: 'EXPIRES', text: (it) => (it.expiresAt === null ? 'never' : output.time(it.expiresAt)), omit: 2 },
    { header: 'CREATED', text: (it) => output.time(it.createdAt), style: style.dim, omit: 4 },
  ]);
}
