import { isUtf8 } from 'node:buffer';
import busboy from 'busboy';
import { Problem } from '../../problems.ts';
import { filePart } from '../../services/intake/check-fields.ts';
import { maxValues, tooManyValues } from '../http/body-limits.ts';

/**
 * Reads the text fields of `multipart/form-data` in order, with `filePart` for each file. Ignores empty file inputs.
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
    // The parser reports an incomplete file as its own error too.
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
  // A part may have another character set than UTF-8. The parser writes U+FFFD only for bytes that are not valid in it.
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
      // The size of the body is limited already, and the parser would cut off longer fields silently.
      // The parser reports `partsLimit` as soon as it has read this many parts.
      limits: { fieldSize: size, fieldNameSize: size, parts: maxValues + 1 },
    });
  } catch {
    throw unreadable('multipart/form-data must name its boundary');
  }
}

/** Browsers escape these three characters in names (HTML, "multipart form data"). */
function unescapeName(name: string): string {
  return name.replaceAll('%22', '"').replaceAll('%0D', '\r').replaceAll('%0A', '\n');
}

function unreadable(message: string): Problem {
  return new Problem('body-unreadable', message);
}
