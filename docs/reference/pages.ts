import type { Command } from 'commander';
import { createProgram } from '../../src/cli/program.ts';
import { exitCodeOf } from '../../src/cli/session/exit-codes.ts';
import type { Deps } from '../../src/cli/terminal/deps.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { variable, variableNames } from '../../src/config/variables.ts';
import { problemKinds } from '../../src/server/http/problem-details.ts';
import { createMetrics } from '../../src/server/middleware/metrics.ts';
import { conditions, databaseAway } from '../../src/services/alerts/conditions.ts';
import { formFileJsonSchema } from '../../src/services/forms/file/schema.ts';
import { code, table } from './markdown.ts';
import { templates } from './templates.ts';

/** A file that is written from the program itself. */
export interface Page {
  /** In the project. */
  path: string;
  text: string;
}

export function referencePages(): Page[] {
  return [
    page('commands', 'Every command', commands()),
    page('settings', 'Every setting', settings()),
    page('problems', 'Every refusal', problems()),
    page('metrics', 'Every metric', metrics()),
    page('alerts', 'Every alert', alerts()),
    page('templates', 'Every variable of a template', templates()),
    { path: '.env.example', text: envExample() },
    { path: 'docs/reference/forms.schema.json', text: `${JSON.stringify(formFileJsonSchema(), null, 2)}\n` },
  ];
}

const notice = '<!-- Written by `npm run docs` from the program itself: change it there. -->';

function page(name: string, title: string, lines: readonly string[]): Page {
  return { path: `docs/reference/${name}.md`, text: `${[`# ${title}`, '', notice, '', ...lines].join('\n')}\n` };
}

function commands(): string[] {
  let printed = '';
  const stream = { write: (text: string) => (printed += text), columns: 200, isTTY: false };
  // The tree alone is looked at: nothing but the streams is asked for before a command runs.
  const program = createProgram({ stdout: stream, stderr: stream, env: {} } as unknown as Deps);
  const examplesOf = (command: Command): string[] => {
    printed = '';
    command.outputHelp();
    const [, examples = ''] = printed.split('\nExamples:\n');
    return examples
      .split(/^ +\$ /m)
      .map((it) => it.trim())
      .filter(Boolean);
  };
  const visit = (parent: Command, level: string): string[] => {
    const help = parent.createHelp();
    return help
      .visibleCommands(parent)
      .filter((it) => it.name() !== 'help')
      .flatMap((command) => {
        const title = `${level} ${help.commandUsage(command).replace(/^ruffinweb | \[options\].*$| \[command\].*$/g, '')}`;
        if (command.commands.length > 0) {
          return [title, '', sentence(command.description()), '', ...visit(command, `${level}#`)];
        }
        return [title, '', ...describeCommand(command, examplesOf(command))];
      });
  };
  return [
    'How they behave for scripts, their exit codes, and what needs more words: [commands](../cli.md).',
    '',
    ...table(
      ['everywhere', 'means'],
      program
        .createHelp()
        .visibleOptions(program)
        .map((it) => [code(it.flags), it.description]),
    ),
    '',
    ...visit(program, '##'),
  ].slice(0, -1);
}

function describeCommand(command: Command, examples: readonly string[]): string[] {
  const help = command.createHelp();
  const facts = [
    ...help.visibleArguments(command).map((it) => [code(help.argumentTerm(it)), help.argumentDescription(it)]),
    ...help
      .visibleOptions(command)
      .filter((it) => it.long !== '--help')
      .map((it) => [code(help.optionTerm(it)), help.optionDescription(it)]),
  ];
  return [
    code(help.commandUsage(command)),
    '',
    sentence(command.description()),
    '',
    ...(facts.length === 0 ? [] : [...table(['argument, option', 'means'], facts), '']),
    '<!-- not run: the examples of its --help; that they are taken is tested -->',
    '```sh',
    ...examples,
    '```',
    '',
  ];
}

function settings(): string[] {
  return [
    'How they are read: [settings](../operating/settings.md).',
    '',
    '● required with `NODE_ENV=production` · 🔒 secret: `NAME_FILE=/path` reads it from a file',
    '',
    ...table(
      ['variable', 'meaning', 'default', 'example'],
      variableNames.map((name) => {
        const { meaning, fallback, example, production, secret } = variable(name);
        const marks = `${production ? ' ●' : ''}${secret ? ' 🔒' : ''}`;
        return [code(name) + marks, meaning, fallback.includes('`') ? fallback : code(fallback), code(example)];
      }),
    ),
  ];
}

function problems(): string[] {
  return [
    'In the body of an HTTP answer as `code`, with its status; on the command line as an exit code. What else is in such a body:',
    '[HTTP API](../api.md#refusals).',
    '',
    ...table(
      ['code', 'status', 'exit code', 'title', 'when'],
      problemKinds.map((it) => [code(it.code), String(it.status), String(exitCodeOf(it.code)), it.title, it.when]),
    ),
  ];
}

function metrics(): string[] {
  const { registry } = createMetrics({ config: readConfig({}) });
  const all = registry.getMetricsAsArray().map((it) => ({
    name: it.name,
    // The library's types leave out what each of its metrics has.
    ...(it as unknown as { help: string; type: string | number; labelNames: readonly string[] }),
  }));
  const ours = all.filter(({ name }) => !/_(?:process|nodejs)_/.test(name));
  return [
    'What `/metrics` answers, with `METRICS_TOKEN`. Which of them to watch: [am I losing mail?](../operating/monitoring.md#am-i-losing-mail)',
    'Beside them stand those of the process (`ruffinweb_process_…`, `ruffinweb_nodejs_…`), as prom-client has them for the system that it runs on.',
    '',
    ...table(
      ['name', 'type', 'labels', 'what it is'],
      ours.map((it) => [code(it.name), String(it.type), it.labelNames.map(code).join(', '), it.help]),
    ),
  ];
}

function alerts(): string[] {
  return [
    'What `ALERT_URL` and `ALERT_TO` are told, and how often: [monitoring](../operating/monitoring.md#be-told-without-mail).',
    '',
    ...table(
      ['condition', 'true when', 'title'],
      Object.entries({ database: databaseAway, ...conditions }).map(([name, { when, alert }]) => {
        // The name of the disk's row has the machine's behind it.
        return [code(name.replace(/ .*/, '')), when, alert];
      }),
    ),
  ];
}

function envExample(): string {
  const entries = variableNames.map((name) => {
    const { meaning, fallback, example, production } = variable(name);
    return [
      `# ${meaning}${production ? ' ●' : ''}`,
      fallback === '' ? '# no default' : `# default: ${fallback}`,
      `#${name}=${example}`,
    ].join('\n');
  });
  return `# Settings of ruffinweb-backend. Every one has a default outside production; ● = required with NODE_ENV=production.
# A secret NAME can be read from a file instead: NAME_FILE=/path

${entries.join('\n\n')}
`;
}

function sentence(text: string): string {
  return `${text}.`;
}
