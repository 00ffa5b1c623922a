import type { Command } from 'commander';
import { exitCode } from '../../session/exit-codes.ts';
import { addExamples, optionsOf } from '../../session/options.ts';
import type { Deps, SettingSource } from '../../terminal/deps.ts';
import { type GlobalOptions, Output } from '../../terminal/output.ts';

export function addConfigCommands(program: Command, deps: Deps): void {
  const config = program.command('config').description('Settings: write a first .env file, look at them, check them');

  const init = config
    .command('init')
    .description('Write a file .env with every setting explained and fresh keys')
    .option('--force', 'put a new file in the place of one that is there; its keys are taken over')
    .option('--json', 'print JSON')
    .action(async (options: { force?: boolean; json?: boolean }, command: Command) => {
      const output = new Output(deps, optionsOf(command));
      const { writeSettingsFile } = await import('./settings-file.ts');
      const { file, values } = deps.readSettings();
      const dataDir = values.DATA_DIR || './data';
      const written = writeSettingsFile(file, { dataDir, force: options.force ?? false, now: new Date() });
      if (options.json) {
        output.printJson(written);
        return;
      }
      output.print(`${output.style.good('written')}  ${written.path}`);
      if (written.replaced !== null) output.note(`The file that was there is now ${written.replaced}.`);
      output.note(
        written.keysFrom === 'fresh'
          ? 'It holds a fresh encryption key.'
          : `It holds the encryption keys that were in ${written.keysFrom}.`,
      );
      output.note(
        [
          'Keep a copy of ENCRYPTION_KEYS in a safe place: a lost key is lost data. Nobody can open what it sealed.',
          'Keep it apart from the backups of the database: together they open every message.',
        ].join('\n'),
      );
    });
  addExamples(init, ['ruffinweb config init', 'ruffinweb config init --force']);

  const show = config
    .command('show')
    .description('List the value in force for each setting, and where it comes from; secrets are masked')
    .option('--reveal', 'print secrets too')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf<GlobalOptions & { reveal?: boolean; json?: boolean }>(command);
      const output = new Output(deps, options);
      const { listSettings } = await import('./settings-list.ts');
      const settings = deps.readSettings();
      for (const it of settings.faults) output.warn(`${it.variable} ${it.wrong}`);
      if (settings.faults.length > 0) deps.setExitCode(exitCode.misused);
      const items = await listSettings(settings, {
        reveal: options.reveal ?? false,
        isTerminal: deps.stderr.isTTY === true,
      });
      if (options.json) {
        output.printJson({ items });
        return;
      }
      const dataDir = items.find((it) => it.name === 'DATA_DIR')?.value ?? 'DATA_DIR';
      output.printTable(items, [
        { header: 'SETTING', text: (it) => it.name },
        {
          header: 'VALUE',
          text: (it) => it.value ?? (it.fallback === '' ? '(not set)' : it.fallback.replace('DATA_DIR', dataDir)),
          style: (text, it) => (it.source === 'default' ? output.style.dim(text) : text),
          least: 20,
        },
        { header: 'FROM', text: (it) => sourceWords[it.source], style: output.style.dim },
      ]);
    });
  addExamples(show, [
    'ruffinweb config show',
    `ruffinweb config show --json | jq -r '.items[] | select(.source != "default") | .name'`,
  ]);

  const check = config
    .command('check')
    .description('Say whether the settings are right, naming every fault; exits 2 when they are not')
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const output = new Output(deps, optionsOf(command));
      const [{ ConfigFaulty }, { readConfig }, { listUnknown }] = await Promise.all([
        import('../../../config/config.ts'),
        import('../../../config/read-config.ts'),
        import('./settings-list.ts'),
      ]);
      const settings = deps.readSettings();
      const { values, faults } = settings;
      const unknown = listUnknown(settings);
      for (const name of unknown) output.warn(`${name} in ${settings.file} is no setting: is it spelt right?`);
      try {
        readConfig(values, faults);
      } catch (error) {
        if (options.json && error instanceof ConfigFaulty)
          output.printJson({ ok: false, faults: error.faults, unknown });
        throw error;
      }
      if (options.json) output.printJson({ ok: true, faults: [], unknown });
      else output.print('the configuration is right');
    });
  addExamples(check, ['ruffinweb config check', 'NODE_ENV=production ruffinweb config check']);
}

const sourceWords: Readonly<Record<SettingSource, string>> = {
  environment: 'environment',
  '.env': '.env',
  file: 'secret file',
  default: 'default',
};
