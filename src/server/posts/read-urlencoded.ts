import { isUtf8 } from 'node:buffer';
import { maxValues, tooManyValues } from '../http/body-limits.ts';
import { type Decode, decoderOfPage, decodeUtf8, notUtf8 } from './charsets.ts';

/**
 * Reads `application/x-www-form-urlencoded` in UTF-8, or in the character set that its field `_charset_` names.
 *
 * @throws {Problem} body-unreadable, fields-invalid (too many values)
 */
export function readUrlencoded(bytes: Buffer): [string, string][] {
  const raw = bytes.toString('latin1');
  // Counted before parsing, and no further than the limit.
  if (raw.split('&', maxValues + 1).length > maxValues) throw tooManyValues();
  const charset = /(?:^|&)_charset_=([^&]+)/i.exec(raw)?.[1];
  const decodePage = charset === undefined ? decodeUtf8 : decoderOfPage(unescapeBytes(charset).toString('latin1'));
  return decodePage === decodeUtf8 ? readUtf8(bytes) : readWith(decodePage, raw);
}

function readUtf8(bytes: Buffer): [string, string][] {
  const whole = decodeUtf8(bytes);
  const text = whole.startsWith('\uFEFF') ? whole.slice(1) : whole;
  const fields = [...new URLSearchParams(text)];
  // U+FFFD replaces bytes that are not UTF-8, or somebody typed it.
  const mayBeInvalid = text.includes('%') && fields.some((texts) => texts.some((it) => it.includes('\ufffd')));
  if (mayBeInvalid && !isEncodedUtf8(text)) throw notUtf8();
  return fields;
}

/** A character is escaped completely or not at all, so the text between escapes is valid already. */
function isEncodedUtf8(text: string): boolean {
  const escaped = text.match(/(?:%[0-9a-f]{2})+/gi) ?? [];
  return escaped.every((run) => isUtf8(Buffer.from(run.replaceAll('%', ''), 'hex')));
}

/** @param raw one character a byte. */
function readWith(decode: Decode, raw: string): [string, string][] {
  const fields = raw.split('&').filter((field) => field !== '');
  return fields.map((field) => {
    const end = field.includes('=') ? field.indexOf('=') : field.length;
    return [decode(unescapeBytes(field.slice(0, end))), decode(unescapeBytes(field.slice(end + 1)))];
  });
}

function unescapeBytes(raw: string): Buffer {
  const bytes = raw
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1');
}
