import { TextFileFault } from '../text-file.ts';

export interface EnvFile {
  values: Record<string, string>;
  /** Lines that may not mean what they look like. */
  warnings: string[];
}

/** A value in quotes may have several lines; a `#` ends one without quotes, as in Node's own reader. */
const setting =
  /[^\S\n]*(?:export[^\S\n]+)?([A-Za-z_][\w.-]*)[^\S\n]*=(?:[^\S\n]*(["'`])((?:(?!\2)[\s\S])*)\2[^\S\n]*(?:#[^\n]*)?|(?![^\S\n]*["'`])([^#\n]*)(#[^\n]*)?)(?![^\n])/y;

const blankOrComment = /[^\S\n]*(?:#[^\n]*)?(?![^\n])/y;

/**
 * Reads the text of a `.env` file. Node's `parseEnv` skips lines that it does not understand, and after `NAME=` with a space
 * takes the next line for the value.
 *
 * @throws {TextFileFault} for a line that means nothing. It never quotes the line, which may hold a secret.
 */
export function parseEnvFile(file: string, text: string): EnvFile {
  const read: EnvFile = { values: {}, warnings: [] };
  let line = 1;
  for (let at = 0; at < text.length; ) {
    const match = matchAt(blankOrComment, text, at) ?? matchAt(setting, text, at);
    if (match === null) throw new TextFileFault(file, line, explain(text.slice(at)));
    const [whole, name, quote, quoted = '', plain = '', comment] = match;
    if (name !== undefined) {
      read.values[name] = quote === undefined ? plain.trim() : quote === '"' ? quoted.replaceAll('\\n', '\n') : quoted;
    }
    if (comment !== undefined && !/\s$/.test(plain)) {
      read.warnings.push(
        `${file}, line ${line}: the value of ${name} ends before the #; if the # belongs to it, use quotes`,
      );
    }
    line += whole.split('\n').length;
    at += whole.length + 1;
  }
  return read;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function explain(rest: string): string {
  const start = /^[^\S\n]*(?:export[^\S\n]+)?[A-Za-z_][\w.-]*[^\S\n]*=[^\S\n]*(["'`])/.exec(rest);
  if (start === null) return 'is neither NAME=value nor a comment, which starts with #';
  const isClosed = rest.indexOf(start[1] ?? '', start[0].length) >= 0;
  return isClosed ? 'has text after its closing quote' : 'has a quote that is never closed';
}
