import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);

export const rootFolder = fileURLToPath(root);

/** Every page for people, by its path in the project. */
export const documents: readonly string[] = [
  'README.md',
  'CHANGELOG.md',
  'SECURITY.md',
  ...readdirSync(new URL('docs/', root), { recursive: true, encoding: 'utf8' })
    .filter((it) => it.endsWith('.md'))
    .map((it) => `docs/${it}`)
    .toSorted(),
];

export function readDocument(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}

/** A fenced code block of a page. */
export interface Block {
  document: string;
  /** Line number of its first line of text. */
  line: number;
  language: string;
  /** The text after the language: the name of the file that the reader is told to write. */
  file: string | undefined;
  text: string;
  /** Why it cannot be run here, from the comment `<!-- not run: … -->` above it. */
  notRun: string | undefined;
}

/** The fenced code blocks of a page; in a list they are indented. */
export function blocksOf(document: string): Block[] {
  const blocks: Block[] = [];
  const lines = readDocument(document).split('\n');
  let open: { indent: number; start: number; language: string; file: string | undefined } | undefined;
  for (const [index, line] of lines.entries()) {
    const fence = /^(\s*)```(\S*)\s*(\S*)/.exec(line);
    if (fence === null) continue;
    if (open === undefined) {
      const [, indent = '', language = '', file = ''] = fence;
      open = { indent: indent.length, start: index + 1, language, file: file || undefined };
      continue;
    }
    const { indent, start, language, file } = open;
    const text = lines.slice(start, index).map((it) => it.slice(indent));
    const above = /^\s*<!-- not run: (.+) -->$/.exec(lines[start - 2] ?? '');
    blocks.push({ document, line: start + 1, language, file, text: text.join('\n'), notRun: above?.[1] });
    open = undefined;
  }
  return blocks;
}

/** A block's commands as a shell reads them: in a `console` block, the typed lines. */
export function scriptOf({ language, text }: Block): string | undefined {
  if (language === 'sh') return text;
  if (language !== 'console') return undefined;
  return text
    .split('\n')
    .filter((line) => line.startsWith('$ '))
    .map((line) => line.slice(2))
    .join('\n');
}

/** Whether a script would change the machine or its installed software, so that no test may run it. */
export function changesTheMachine(script: string): boolean {
  return /\b(?:sudo|systemctl|apt|apt-get|certbot|docker|aws|npm (?:ci|i|install)|git (?:clone|pull|fetch))\b/.test(
    script,
  );
}

/** The arguments of every call of our program in a script, without quotes and comments. */
export function callsIn(script: string): string[][] {
  const joined = script.replaceAll('\\\n', ' ');
  return joined.split('\n').flatMap((line) =>
    simpleCommands(line).flatMap((words) => {
      const [program = '', ...args] = withoutPrefix(words);
      return /^(?:\S*\/)?ruffinweb(?:\.js)?$/.test(program) ? [args] : [];
    }),
  );
}

/** A command without the words that only say how to start it: variables, another user, Node. */
function withoutPrefix(words: readonly string[]): readonly string[] {
  const [first = '', second = ''] = words;
  if (/^\w+=/.test(first) || /^(?:sudo|env|exec|time|node|npx)$/.test(first)) return withoutPrefix(words.slice(1));
  if (first.startsWith('-')) return withoutPrefix(words.slice(first === '-u' && second !== '' ? 2 : 1));
  return words;
}

/** Splits a line at `|`, `;`, `&` and redirections into commands, each as its words. */
function simpleCommands(line: string): string[][] {
  const commands: string[][] = [[]];
  let skip = false;
  for (const [token = ''] of line.matchAll(
    /#.*|"(?:[^"\\]|\\.)*"|'[^']*'|\|\|?|&&?|;|\d?>>?|<|(?:[^\s|&;<>"']|"[^"]*"|'[^']*')+/g,
  )) {
    if (token.startsWith('#')) break;
    if (/^(?:[|&]{1,2}|;)$/.test(token)) commands.push([]);
    else if (/^\d?[<>]/.test(token)) skip = true;
    else if (skip) skip = false;
    else commands.at(-1)?.push(token.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
  }
  return commands;
}
