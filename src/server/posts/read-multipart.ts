import { MIMEType } from 'node:util';
import busboy from 'busboy';
import { Problem } from '../../problems.ts';
import { filePart } from '../../services/intake/read-value.ts';
import { maxValues, tooManyValues } from '../http/body-limits.ts';
import { type PartHeaders, prepareParts } from './busboy-internals.ts';
import { charsetField, decodeAs, decoderOfPage, decodeUtf8 } from './charsets.ts';

/** A part as it came. Its texts have one character a byte. */
interface Part {
  name: string;
  /** Undefined for an empty file input. */
  value: string | typeof filePart | undefined;
  /** The character set that the part names. */
  charset: string | undefined;
}

/**
 * Reads the text fields of `multipart/form-data` in order, with `filePart` for each file. Ignores empty file inputs.
 *
 * @param contentType with its boundary.
 * @throws {Problem} body-unreadable, fields-invalid (too many parts)
 */
export async function readMultipart(contentType: string, bytes: Buffer): Promise<[string, unknown][]> {
  const parts = await readParts(contentType, bytes);
  const page = parts.find(({ name, value }) => charsetField.test(name) && typeof value === 'string' && value !== '');
  const decodePage = page === undefined ? decodeUtf8 : decoderOfPage(String(page.value));
  return parts
    .filter(({ value }) => value !== undefined)
    .map(({ name, value, charset }) => [
      unescapeName(decodePage(Buffer.from(name, 'latin1'))),
      typeof value !== 'string'
        ? value
        : charset === undefined
          ? decodePage(Buffer.from(value, 'latin1'))
          : decodeAs(charset, Buffer.from(value, 'latin1')),
    ]);
}

async function readParts(contentType: string, bytes: Buffer): Promise<Part[]> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const parts: Part[] = [];
  const parser = createParser(contentType, bytes.length);
  let announced = 0;
  let current = preparePart({});
  prepareParts(parser, (headers) => {
    announced += 1;
    current = preparePart(headers);
  });
  parser.on('field', (name: string | undefined, value, { encoding }) => {
    if (!/^(?:7bit|8bit|binary)$/.test(encoding))
      reject(unreadable('a part of the body is in base64 or another encoding'));
    parts.push({ name: name ?? '', value, charset: current.charset });
  });
  parser.on('file', (name: string | undefined, stream, { filename }: { filename?: string }) => {
    const isFile = current.isAttachment || Boolean(filename);
    const part: Part = { name: name ?? asciiName(filename), value: isFile ? filePart : undefined, charset: undefined };
    parts.push(part);
    stream.on('data', () => {
      part.value = filePart;
    });
    // The parser reports an incomplete file as its own error too.
    stream.on('error', () => {});
  });
  parser.on('partsLimit', () => reject(tooManyValues()));
  parser.on('error', () => reject(unreadable('the body is not valid multipart/form-data, or ended too soon')));
  parser.on('close', resolve);
  parser.end(bytes);
  await promise;
  // The parser skips these without an event.
  if (parts.length !== announced)
    throw unreadable('a part of the body has no Content-Disposition, or one that is not valid');
  return parts;
}

function createParser(contentType: string, size: number): busboy.Busboy {
  try {
    return busboy({
      headers: { 'content-type': contentType },
      defParamCharset: 'latin1',
      // The size of the body is limited already, and the parser would cut off longer fields silently.
      // The parser reports `partsLimit` as soon as it has read this many parts.
      limits: { fieldSize: size, fieldNameSize: size, parts: maxValues + 1 },
    });
  } catch {
    throw unreadable('multipart/form-data must name its boundary');
  }
}

/**
 * Makes the parser hand over every text as bytes, and every part with another disposition than `form-data` as a file.
 * Otherwise it would drop that part silently.
 */
function preparePart(headers: PartHeaders): Pick<Part, 'charset'> & { isAttachment: boolean } {
  const disposition = headers['content-disposition']?.[0];
  const isAttachment = disposition !== undefined && !/^form-data[\t ]*(?:;|$)/i.test(disposition);
  if (isAttachment) headers['content-disposition'] = [disposition.replace(/^[^;]*/, 'form-data')];
  const type = readType(headers['content-type']?.[0]);
  const isFile = isAttachment || type?.essence === 'application/octet-stream';
  headers['content-type'] = [isFile ? 'application/octet-stream' : 'text/plain; charset=latin1'];
  return { charset: type?.params.get('charset') ?? undefined, isAttachment };
}

/** @returns undefined for a type that is not valid; the parser takes such a part for text. */
function readType(text: string | undefined): MIMEType | undefined {
  try {
    return text === undefined ? undefined : new MIMEType(text);
  } catch {
    return undefined;
  }
}

/** Browsers escape these three characters in names (HTML, "multipart form data"). */
function unescapeName(name: string): string {
  return name.replaceAll('%22', '"').replaceAll('%0D', '\r').replaceAll('%0A', '\n');
}

function asciiName(name = ''): string {
  return /^[ -~]*$/.test(name) ? name : '';
}

function unreadable(message: string): Problem {
  return new Problem('body-unreadable', message);
}
