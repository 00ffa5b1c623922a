import { isUtf8 } from 'node:buffer';
import type { Context, Middleware } from 'koa';
import readBody from 'raw-body';
import { Problem } from '../../problems.ts';
import type { Submission } from '../../services/intake/check-fields.ts';
import { bodyLimit, bodyTooLarge, maxValues, tooManyValues } from '../http/body-limits.ts';
import type { RequestState } from '../http/request-scope.ts';
import { wantsPage } from '../http/wants-page.ts';
import { readMultipart } from './read-multipart.ts';

/** Max pieces of a body. Node parses each HTTP chunk separately: 64 KiB in chunks of a byte take as long as 20 posts. */
const maxPieces = 2000;

/**
 * Reads a post without checking its fields. Keeps the values in `ctx.state.posted`, for a page where the visitor corrects
 * them.
 *
 * @throws {Problem} body-too-large, body-type-unknown, body-unreadable, fields-invalid (too many values)
 */
export async function readSubmission(ctx: Context & { state: RequestState }, formSlug: string): Promise<Submission> {
  const values = await readValues(ctx);
  ctx.state.posted = values;
  return {
    formSlug,
    values,
    clientAddress: ctx.state.clientAddress,
    origin: ctx.req.headers.origin,
    idempotencyKey: ctx.get('Idempotency-Key') || undefined,
  };
}

type BodyType = 'json' | 'urlencoded' | 'multipart/form-data';

/** The spellings that browsers and programs use. Parsing other ones takes longer. */
const commonTypes: ReadonlyMap<string | undefined, BodyType> = new Map([
  ['application/json', 'json'],
  ['application/json; charset=utf-8', 'json'],
  ['application/json;charset=UTF-8', 'json'],
  ['application/x-www-form-urlencoded', 'urlencoded'],
  ['application/x-www-form-urlencoded;charset=UTF-8', 'urlencoded'],
]);

async function readValues(ctx: Context): Promise<Map<string, unknown>> {
  const { headers } = ctx.req;
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
  const type = (hasBody && commonTypes.get(headers['content-type'])) || readType(ctx);
  if ((headers['content-encoding'] || 'identity') !== 'identity') {
    throw new Problem('body-type-unknown', 'send the body without Content-Encoding');
  }
  const bytes = await readBytes(ctx);
  if (type === 'multipart/form-data') return gather(await readMultipart(ctx.get('Content-Type'), bytes));
  const text = decode(bytes);
  return type === 'json' ? readJson(text) : gather(readUrlencoded(text));
}

function readType(ctx: Context): BodyType {
  const type = ctx.request.is('json', 'urlencoded', 'multipart/form-data');
  const charset = ctx.request.charset.toLowerCase();
  if (!type) {
    throw new Problem(
      'body-type-unknown',
      'send application/json, application/x-www-form-urlencoded or multipart/form-data',
    );
  }
  if (charset !== '' && charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
    throw new Problem('body-type-unknown', 'send the body in UTF-8');
  }
  // `is` returns one of the names it was given.
  return type as BodyType;
}

async function readBytes(ctx: Context): Promise<Buffer> {
  const { length } = ctx.request;
  if ((length ?? 0) > bodyLimit) throw bodyTooLarge(bodyLimit);
  // A client that sent `Expect: 100-continue` waits for this, and sends no body if it is refused before.
  if ((ctx.req.headers.expect ?? '') !== '') ctx.res.writeContinue();
  const body = readBody(ctx.req, { limit: bodyLimit, length: length ?? null });
  try {
    return await Promise.race([body, refuseTooManyPieces(ctx)]);
  } catch (error) {
    if (error instanceof Problem) throw error;
    // Otherwise the next request on this connection would wait behind the rest of the body.
    ctx.req.resume();
    if ((error as { type?: unknown }).type === 'entity.too.large') throw bodyTooLarge(bodyLimit);
    throw new Problem('body-unreadable', 'the body ended too soon');
  }
}

/** Never resolves. Leaves the rest of the body unread and closes the connection after the answer. */
function refuseTooManyPieces(ctx: Context): Promise<never> {
  return new Promise((_, reject) => {
    let pieces = 0;
    ctx.req.on('data', () => {
      if (++pieces !== maxPieces) return;
      ctx.req.pause();
      ctx.set('Connection', 'close');
      reject(new Problem('body-unreadable', 'the body came in too many pieces'));
    });
  });
}

function decode(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw notUtf8();
  const text = bytes.toString('utf8');
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}

function notUtf8(): Problem {
  return new Problem('body-unreadable', 'the body is not valid UTF-8; a form sends it with accept-charset="utf-8"');
}

function readUrlencoded(text: string): [string, string][] {
  // Counted before parsing, and no further than the limit.
  if (text.split('&', maxValues + 1).length > maxValues) throw tooManyValues();
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

function readJson(text: string): Map<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // The parser's own message would quote the body.
    throw new Problem('body-unreadable', 'the body is not valid JSON');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Problem('body-unreadable', 'the body must be a JSON object');
  }
  if (hasTooManyValues(body)) throw tooManyValues();
  return new Map(Object.entries(body));
}

/** Counts the elements of a list, like a form that repeats a name, and everything nested deeper. */
function hasTooManyValues(body: object): boolean {
  const values = Object.values(body).flatMap((value) => (Array.isArray(value) && value.length > 0 ? value : [value]));
  // The loop also visits what it appends.
  for (const value of values) {
    if (values.length > maxValues) return true;
    if (typeof value === 'object' && value !== null) values.push(...Object.values(value));
  }
  return false;
}

/** A repeated name keeps all its values: `checkFields` joins or refuses them, and never picks one. */
function gather(fields: readonly (readonly [string, unknown])[]): Map<string, unknown> {
  const values = Map.groupBy(fields, ([name]) => name);
  return new Map([...values].map(([name, all]) => [name, all.length === 1 ? all[0]?.[1] : all.map(([, it]) => it)]));
}

/** Reads a post that a limit refuses, so that the page about it can send it again. Programs still have what they sent. */
export const keepTyped: Middleware<RequestState> = async (ctx, next) => {
  if (!wantsPage(ctx)) return await next();
  try {
    await next();
  } catch (error) {
    if (error instanceof Problem && error.code === 'rate-limited') await readSubmission(ctx, '').catch(() => {});
    throw error;
  }
};
