import type { Call, CliCommand } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';

export function addConfigCommands(program: CliCommand): void {
  const config = program.command('config').description('Settings: write a first .env file, show them, check them');

  config
    .command('init')
    .description('Write a .env file that explains every setting and has fresh keys')
    .option('--force', 'replace an existing file, but keep its keys')
    .jsonOption()
    .examples('ruffinweb config init', 'ruffinweb config init --force')
    .run(initConfig);

  config
    .command('show')
    .description('List the value in force for each setting, and where it comes from; secrets are masked')
    .option('--reveal', 'print secrets too')
    .jsonOption()
    .examples(
      'ruffinweb config show',
      `ruffinweb config show --json | jq -r '.items[] | select(.source != "default") | .name'`,
    )
    .run(showConfig);

  config
    .command('check')
    .description('Check the settings and name every error; exits 2 if there is one')
    .jsonOption()
    .examples('ruffinweb config check', 'NODE_ENV=production ruffinweb config check')
    .run(checkConfig);
}

async function initConfig({ deps, options, output }: Call<{ force?: boolean }>): Promise<void> {
  const { writeSettingsFile } = await import('./settings-file.ts');
  const { file, values } = deps.readSettings();
  const dataDir = values.DATA_DIR || './data';
  const written = writeSettingsFile(file, { dataDir, force: options.force ?? false, now: new Date() });
  output.printResult(written, () => {
    output.print(`${output.style.good('written')}  ${written.path}`);
    if (written.replaced !== null) output.note(`The file that was there is now ${written.replaced}.`);
    output.note(
      written.keysFrom === 'fresh'
        ? 'It contains a fresh encryption key.'
        : `It contains the encryption keys from ${written.keysFrom}.`,
    );
    output.note('Keep a copy of ENCRYPTION_KEYS in a safe place: a lost key is lost data.');
    output.note('Keep it apart from the backups of the database: together they open every message.');
    output.note(`\nNext: change ${written.path} to your needs, and start the server: ${deps.calledAs} serve --migrate`);
  });
}

async function showConfig({ deps, options, output }: Call<{ reveal?: boolean }>): Promise<void> {
  const { listSettings } = await import('./settings-list.ts');
  const settings = deps.readSettings();
  for (const it of settings.faults) output.warn(`${it.variable} ${it.wrong}`);
  if (settings.faults.length > 0) deps.setExitCode(exitCode.misused);
  const isTerminal = deps.stderr.isTTY === true;
  const items = await listSettings(settings, { reveal: options.reveal ?? false, isTerminal });
  const dataDir = items.find((it) => it.name === 'DATA_DIR')?.value ?? 'DATA_DIR';
  output.printResult({ items }, () =>
    output.printTable(items, [
      { header: 'SETTING', text: (it) => it.name },
      {
        header: 'VALUE',
        text: (it) => it.value ?? (it.fallback === '' ? '(not set)' : it.fallback.replace('DATA_DIR', dataDir)),
        style: (text, it) => (it.source === 'default' ? output.style.dim(text) : text),
        minWidth: 20,
      },
      {
        header: 'FROM',
        text: (it) => (it.source === 'file' ? 'secret file' : it.source),
        style: output.style.dim,
      },
    ]),
  );
}

async function checkConfig({ deps, options, output }: Call): Promise<void> {
  const [{ ConfigFaulty }, { readConfig }, { listTrimmed, listUnknown }] = await Promise.all([
    import('../../../config/config.ts'),
    import('../../../config/read-config.ts'),
    import('./settings-list.ts'),
  ]);
  const settings = deps.readSettings();
  const unknown = listUnknown(settings);
  for (const warning of [...settings.warnings, ...listTrimmed(settings)]) output.warn(warning);
  for (const name of unknown) output.warn(`${name} in ${settings.file} is not a setting: is it misspelt?`);
  try {
    const { warnings } = readConfig(settings.values, settings.faults);
    for (const { variable, wrong, fix } of warnings) output.warn(`${variable} ${wrong}: ${fix}`);
    const checked = { ok: true, faults: [], warnings, unknown };
    output.printResult(checked, () => output.print('the configuration is right'));
  } catch (error) {
    if (options.json && error instanceof ConfigFaulty)
      output.printJson({ ok: false, faults: error.faults, warnings: [], unknown });
    throw error;
  }
}
