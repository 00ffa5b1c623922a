import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';

/** A text file that a person edited cannot be used. The message names the file and the line. */
export class TextFileFault extends Error {
  override readonly name = 'TextFileFault';

  /** @param wrong completes the sentence "Line 3 …". */
  constructor(file: string, line: number, wrong: string) {
    super(`${file}, line ${line}: ${wrong}`);
  }
}

/**
 * Reads UTF-8, with or without a byte order mark, with lines that end in LF or CRLF. Lines of the result end in LF.
 *
 * @throws {TextFileFault} for anything else: half-read settings are worse than none.
 */
export function readTextFile(path: string): string {
  return decodeText(readBytes(path), path);
}

/** The same for bytes from elsewhere. @param path what a fault calls them. */
export function decodeText(bytes: Buffer, path: string): string {
  const text = bytes.toString('utf8');
  if (!isUtf8(bytes) || /\0|\r(?!\n|$)/.test(text)) throw faultOf(path, bytes);
  return text.replace(/^\uFEFF/, '').replace(/\r(?=\n|$)/g, '');
}

/** Node's error about a folder does not name it. */
export function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw Object.assign(error as Error, { path });
  }
}

function faultOf(path: string, bytes: Buffer): TextFileFault {
  if (/^(?:\xFF\xFE|\xFE\xFF)/.test(bytes.toString('latin1', 0, 2))) {
    return new TextFileFault(path, 1, 'is UTF-16; save the file as UTF-8');
  }
  const lines = bytes.toString('latin1').split('\n');
  const line = lines.findIndex((it) => !isUtf8(Buffer.from(it, 'latin1')) || /\0|\r[\s\S]/.test(it));
  const found = lines[line] ?? '';
  if (!isUtf8(Buffer.from(found, 'latin1')))
    return new TextFileFault(path, line + 1, 'is not UTF-8; save the file as UTF-8');
  if (found.includes('\0')) return new TextFileFault(path, line + 1, 'contains a zero byte; save the file as UTF-8');
  return new TextFileFault(path, line + 1, 'has a carriage return in the middle; end lines with LF or CRLF');
}
