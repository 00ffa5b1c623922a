import { isUtf8 } from 'node:buffer';
import busboy from 'busboy';
import { Problem } from '../../problems.ts';
import { filePart } from '../../services/intake/check-fields.ts';
import { maxValues, tooManyValues } from '../http/body-limits.ts';

/**
 * Reads `multipart/form-data`: every text field, in order, with `filePart` in the place of a file. A file input
 * that was left empty counts as not there.
 *
 * @param contentType with its boundary.
 * @throws {Problem} body-unreadable, fields-invalid (too many parts)
 */
export async function readMultipart(contentType: string, bytes: Buffer): Promise<[string, unknown][]> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fields: [string, unknown][] = [];
  const parser = createParser(contentType, bytes.length);
  parser.on('field', (name: string | undefined, value, { encoding }) => {
    if (name === undefined) reject(unreadable('a part of the body has no name'));
    else if (/^(?:base64|quoted-printable)$/.test(encoding)) reject(unreadable(`a part of the body is in ${encoding}`));
    else fields.push([unescapeName(name), value]);
  });
  parser.on('file', (name: string | undefined, stream, { filename }: { filename?: string }) => {
    let size = 0;
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
    });
    // The parser reports a file that breaks off as an error of its own as well.
    stream.on('error', () => {});
    stream.on('end', () => {
      if (filename || size > 0) fields.push([unescapeName(name ?? ''), filePart]);
    });
  });
  parser.on('partsLimit', () => reject(tooManyValues()));
  parser.on('error', () => reject(unreadable('the body is not valid multipart/form-data, or ended too soon')));
  parser.on('close', resolve);
  parser.end(bytes);
  await promise;
  // A part may declare another character set than UTF-8; only where bytes fit none is this character put in.
  if (!isUtf8(bytes) && fields.some((texts) => texts.some((it) => typeof it === 'string' && it.includes('\ufffd')))) {
    throw unreadable('the body is not valid UTF-8');
  }
  return fields;
}

function createParser(contentType: string, size: number): busboy.Busboy {
  try {
    return busboy({
      headers: { 'content-type': contentType },
      defParamCharset: 'utf8',
      // The body is bounded already; nothing more may be cut off without a word.
      // The parser reports this number of parts as soon as it has read them all.
      limits: { fieldSize: size, fieldNameSize: size, parts: maxValues + 1 },
    });
  } catch {
    throw unreadable('multipart/form-data must name its boundary');
  }
}

/** Browsers write these three characters of a name like this (HTML, "multipart form data"). */
function unescapeName(name: string): string {
  return name.replaceAll('%22', '"').replaceAll('%0D', '\r').replaceAll('%0A', '\n');
}

function unreadable(message: string): Problem {
  return new Problem('body-unreadable', message);
}
