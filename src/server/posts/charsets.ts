import { isUtf8 } from 'node:buffer';
import { createRequire } from 'node:module';
import { Problem } from '../../problems.ts';

const load = createRequire(import.meta.url);

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
  return (bytes) => {
    const text = decodeAs(encoding, bytes);
    const lacking = findLacking(encoding, text);
    return text.replaceAll(reference, (whole, digits: string) =>
      lacking.has(digits) ? String.fromCodePoint(Number(digits)) : whole,
    );
  };
}

const reference = /&#([1-9]\d{2,6});/g;

/** Of the characters that the text refers to: the numbers of the characters that the encoding lacks. */
function findLacking(encoding: string, text: string): ReadonlySet<string> {
  const numbers = Array.from(text.matchAll(reference), ([, digits]) => Number(digits)).filter((it) => it <= 0x10ffff);
  if (numbers.length === 0) return new Set();
  const { percentEncodeAfterEncoding } = load('@exodus/bytes/whatwg.js') as typeof import('@exodus/bytes/whatwg.js');
  const encoded = percentEncodeAfterEncoding(encoding, String.fromCodePoint(...new Set(numbers)), '%');
  return new Set(Array.from(encoded.matchAll(/%26%23(\d+)%3B/g), ([, digits]) => digits as string));
}

function openDecoder(label: string) {
  // Node's own decoder makes other characters of Korean and Taiwanese text.
  const { TextDecoder } = load('@exodus/bytes/encoding.js') as typeof import('@exodus/bytes/encoding.js');
  try {
    return new TextDecoder(label, { fatal: true });
  } catch {
    throw new Problem('body-unreadable', 'the body names a character set that is not known');
  }
}
