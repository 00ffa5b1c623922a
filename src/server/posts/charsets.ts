import { isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';
import { Problem } from '../../problems.ts';

/** What HTML calls the hidden field in which a browser names the character set of the page. */
export const charsetField = /^_charset_$/i;

export type Decode = (bytes: Buffer) => string;

export function decodeUtf8(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw notUtf8();
  return bytes.toString('utf8');
}

export function notUtf8(): Problem {
  return new Problem('body-unreadable', 'the body is not valid UTF-8; a form sends it with accept-charset="utf-8"');
}

/**
 * Decodes text by a label of the Encoding standard. Never replaces bytes that are not valid.
 *
 * @throws {Problem} body-unreadable
 */
export function decodeAs(label: string, bytes: Buffer): string {
  // A byte order mark says more than the label "utf-16", which means little-endian in the standard.
  const isBigEndian = /^utf-?16$/i.test(label) && bytes[0] === 0xfe && bytes[1] === 0xff;
  const decoder = openDecoder(isBigEndian ? 'utf-16be' : label);
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Problem('body-unreadable', `a part of the body is not valid ${decoder.encoding}`);
  }
}

/**
 * Decodes what a page in this character set posted. For a character that the set lacks, browsers send a decimal reference:
 * `&#20320;`.
 *
 * @throws {Problem} body-unreadable, also from the returned function.
 */
export function decoderOfPage(label: string): Decode {
  const { encoding } = openDecoder(label);
  // A page in UTF-16 posts UTF-8.
  if (encoding.startsWith('utf-')) return decodeUtf8;
  // GB 18030 has all of Unicode.
  if (encoding === 'gb18030') return (bytes) => decodeAs(encoding, bytes);
  return (bytes) =>
    decodeAs(encoding, bytes).replaceAll(/&#(1[2-9]\d|[2-9]\d\d|[1-9]\d{3,6});/g, (reference, digits: string) => {
      const codePoint = Number(digits);
      const isCharacter = codePoint > 0x7f && codePoint <= 0x10ffff && (codePoint < 0xd800 || codePoint > 0xdfff);
      return isCharacter && !charactersOf(encoding).has(codePoint) ? String.fromCodePoint(codePoint) : reference;
    });
}

function openDecoder(label: string): TextDecoder {
  try {
    return new TextDecoder(label, { fatal: true });
  } catch {
    throw new Problem('body-unreadable', 'the body names a character set that is not known');
  }
}

const known = new Map<string, ReadonlySet<number>>();

/** The characters that a page in this encoding can send as they are. Takes some 10 ms, once for each encoding. */
function charactersOf(encoding: string): ReadonlySet<number> {
  let characters = known.get(encoding);
  if (characters === undefined) {
    characters = new Set(Array.from(decodePairs(encoding), (character) => character.codePointAt(0) as number));
    known.set(encoding, characters);
  }
  return characters;
}

/** Decodes every pair of bytes. ISO-2022-JP needs the escape sequence in front, and other encodings read it as ASCII. */
function decodePairs(encoding: string): string {
  const bytes = [0x1b, 0x24, 0x42];
  for (let lead = 0x21; lead < 0x100; lead++) {
    for (let trail = 0x21; trail < 0x100; trail++) bytes.push(lead, trail, 0x20);
  }
  return new TextDecoder(encoding).decode(Uint8Array.from(bytes));
}
