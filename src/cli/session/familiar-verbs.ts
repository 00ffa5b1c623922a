/**
 * Verbs of other programs, and our command that does the same: the noun (empty for none, `*` for any), the verbs, the command
 * (in `<…>` what stands for its arguments, in `[…]` what to take without any).
 * Never aliases, so that each thing has one name in scripts and documents.
 */
export const familiarVerbs: readonly [noun: string, verbs: string, command: string][] = [
  ['', 'create add new', 'forms add <slug>'],
  ['', 'update upgrade', 'migrate up'],
  ['', 'retry resend', 'emails resend [--failed]'],
  ['', 'remove rm delete', 'messages delete <message>'],
  ['', 'list ls', 'messages list'],
  ['', 'show view', 'messages show <message>'],
  ['', 'reply answer', 'messages reply <message>'],
  ['', 'release accept', 'messages release <message>'],
  ['', 'block', 'senders block <sender>'],
  ['', 'erase forget', 'senders erase <sender>'],
  ['messages', 'remove rm erase', 'messages delete <message>'],
  ['messages', 'retry resend send', 'emails resend <email>'],
  ['messages', 'answer', 'messages reply <message>'],
  ['messages', 'update accept', 'messages release <message>'],
  ['emails', 'retry send', 'emails resend <email>'],
  ['emails', 'remove rm delete', 'emails cancel <email>'],
  ['forms', 'create new', 'forms add <slug>'],
  ['forms', 'set edit update', 'forms change <slug>'],
  ['forms', 'remove rm', 'forms delete <slug>'],
  ['senders', 'remove rm delete', 'senders erase <sender>'],
  ['keys', 'add new', 'keys create --name <name> --scope read'],
  ['keys', 'remove rm delete', 'keys revoke <key>'],
  ['encryption', 'create add', 'encryption new-key'],
  ['encryption', 'update', 'encryption rotate'],
  ['backup', 'add new', 'backup create <dir>'],
  ['config', 'create add new', 'config init'],
  ['migrate', 'add new', 'migrate create <name>'],
  ['migrate', 'update upgrade retry', 'migrate up'],
  ['migrate', 'remove', 'migrate down'],
  ['*', 'find search grep', 'find <words>'],
  ['*', 'doctor', 'health --deep'],
  ['*', 'status', 'health'],
  ['*', 'logs log tail', 'watch'],
  ['*', 'version', '--version'],
];

/** The whole command to type instead, with the arguments that were typed; undefined for a verb that means nothing here. */
export function rightCommand(noun: string, [verb = '', ...args]: readonly string[]): string | undefined {
  const found = familiarVerbs.find(([of, verbs]) => (of === noun || of === '*') && verbs.split(' ').includes(verb));
  if (found === undefined) return undefined;
  const end = args.findIndex((arg) => !/^[\p{L}\p{N}][\p{L}\p{N}.@:+/_-]*$/u.test(arg));
  const given = args.slice(0, end === -1 ? args.length : end).join(' ');
  return `ruffinweb ${found[2].replace(/<[^>]+>|\[(.+)\]/, (whole, otherwise = whole) => given || otherwise)}`;
}
