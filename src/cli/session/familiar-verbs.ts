import type { Command } from 'commander';

/**
 * Verbs of other programs, and our command that does the same: the noun (empty for none, `*` for any), the verbs, the command,
 * where `$` is the verb. Never aliases, so that each thing has one name in scripts and documents.
 */
export const familiarVerbs: readonly [noun: string, verbs: string, command: string, before?: string][] = [
  ['', 'create add new', 'forms add <slug>'],
  ['', 'update upgrade', 'migrate up'],
  ['', 'remove rm delete', 'messages delete <message>'],
  ['', 'list ls inbox', 'messages list'],
  ['', 'show view read', 'messages show <message>'],
  ['', 'failed', 'emails list --state failed'],
  ['messages', 'remove rm erase', 'messages delete <message>'],
  ['messages', 'read view open', 'messages show <message>'],
  ['messages', 'update accept', 'messages release <message>'],
  ['emails', 'remove rm delete', 'emails cancel <email>'],
  ['emails', 'read view open', 'emails show <email>'],
  ['emails', 'queued sent failed cancelled held', 'emails list --state $'],
  ['forms', 'create new', 'forms add <slug>'],
  ['forms', 'set edit update', 'forms change <slug>'],
  ['forms', 'remove rm', 'forms delete <slug>'],
  ['hooks', 'create new', 'hooks add <url>'],
  ['hooks', 'set edit update', 'hooks change <name>'],
  ['hooks', 'rm delete', 'hooks remove <name>'],
  ['hooks', 'rotate secret', 'hooks rotate-secret <name>'],
  ['hooks', 'resend retry send', 'hooks deliveries resend <delivery>'],
  ['hooks', 'cancel', 'hooks deliveries cancel <delivery>'],
  ['hooks deliveries', 'retry send', 'hooks deliveries resend <delivery>'],
  ['hooks deliveries', 'remove rm delete', 'hooks deliveries cancel <delivery>'],
  ['hooks', 'read view', 'hooks show <name>'],
  ['hooks', 'ping', 'hooks test <name>'],
  ['hooks', 'start enable unpause', 'hooks resume <name>'],
  ['hooks', 'stop disable', 'hooks pause <name>'],
  ['hooks', 'queued sent failed cancelled', 'hooks deliveries list --state $'],
  ['hooks deliveries', 'read view open', 'hooks deliveries show <delivery>'],
  ['hooks deliveries', 'queued sent failed cancelled', 'hooks deliveries list --state $'],
  ['senders', 'remove rm delete', 'senders erase <sender>'],
  ['keys', 'add new', 'keys create --name <name> --scope read'],
  ['keys', 'remove rm delete', 'keys revoke <key>'],
  ['encryption', 'create add', 'encryption new-key'],
  ['encryption', 'update', 'encryption rotate'],
  ['backup', 'add new', 'backup create <dir>'],
  ['config', 'create add new', 'config init'],
  ['config', 'set change edit', 'config check', 'change .env, then '],
  ['migrate', 'add new', 'migrate create <name>'],
  ['migrate', 'update upgrade retry', 'migrate up'],
  ['migrate', 'remove', 'migrate down'],
  ['*', 'retry send', 'emails resend <email>'],
  ['*', 'answer', 'messages reply <message>'],
  ['', 'accept', 'messages release <message>'],
  ['', 'forget', 'senders erase <sender>'],
  ['*', 'held spam', 'messages list --status held'],
  ['*', 'find search grep', 'find <words>'],
  ['*', 'doctor', 'health --deep'],
  ['*', 'status', 'health'],
  ['*', 'logs log tail', 'watch'],
  ['*', 'version', '--version'],
];

/** What to type instead of a verb that this command does not have; undefined for a verb that means nothing here. */
export function rightCommand(at: Command, [verb = '', ...args]: readonly string[]): string | undefined {
  let [program, noun] = [at, ''];
  for (; program.parent !== null; program = program.parent) noun = `${program.name()} ${noun}`.trim();
  const [, , line = findElsewhere(program, verb), before = ''] =
    familiarVerbs.find(([of, verbs]) => (of === noun || of === '*') && verbs.split(' ').includes(verb)) ?? [];
  if (line === undefined) return undefined;
  const target = line.split(' ').reduce((command, word) => childOf(command, word) ?? command, program);
  const isUnknown = (it: string) => it.startsWith('-') && !target.options.some((option) => option.long === it);
  const known = upTo(args, isUnknown).map(quoteForShell);
  const words = upTo(known, (it) => it.startsWith('-'));
  const flags = known.slice(words.length);
  // Flags can choose the emails instead.
  const isOptional = flags.length > 0 && target.registeredArguments.some((it) => it.variadic && !it.required);
  const given = (slot: string) => (words.length > 0 ? ` ${words.join(' ')}` : isOptional ? '' : slot);
  const filled = line.replace('$', verb).replace(/ <[^>]+>/, given);
  return `error: there is no "${[noun, verb].join(' ').trim()}": ${before}use ruffinweb ${[filled, ...flags].join(' ')}`;
}

/** The command with this name, of the noun that help names first. */
function findElsewhere(program: Command, verb: string): string | undefined {
  const [found] = program.commands.flatMap((it) => childOf(it, verb) ?? []);
  if (found === undefined) return undefined;
  return [found.parent?.name(), verb, ...found.registeredArguments.map((it) => `<${it.name()}>`)].join(' ');
}

function upTo(args: readonly string[], isEnd: (arg: string) => boolean): readonly string[] {
  const end = args.findIndex(isEnd);
  return end === -1 ? args : args.slice(0, end);
}

export function quoteForShell(arg: string): string {
  return /^[\w\p{L}\p{M}@%+=:,./-]+$/u.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}

function childOf(command: Command, name: string): Command | undefined {
  return command.commands.find((it) => it.name() === name);
}
