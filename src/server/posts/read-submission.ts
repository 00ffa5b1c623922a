import type { Context, Middleware } from 'koa';
import readBody from 'raw-body';
import { Problem } from '../../problems.ts';
import type { Submission } from '../../services/intake/check-fields.ts';
import { bodyLimit, bodyTooLarge, maxValues, tooManyValues } from '../http/body-limits.ts';
import type { RequestState } from '../http/request-scope.ts';
import { wantsPage } from '../http/wants-page.ts';
import { decodeUtf8 } from './charsets.ts';
import { dialectOf } from './dialects/index.ts';
import { readMultipart } from './read-multipart.ts';
import { readUrlencoded } from './read-urlencoded.ts';

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
    takesAnyFields: dialectOf(ctx.path).takesAnyFields,
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
  return gather(type === 'json' ? readJson(bytes) : readUrlencoded(bytes));
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

function readJson(bytes: Buffer): [string, unknown][] {
  const text = decodeUtf8(bytes);
  let body: unknown;
  try {
    body = JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch {
    // The parser's own message would quote the body.
    throw new Problem('body-unreadable', 'the body is not valid JSON');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Problem('body-unreadable', 'the body must be a JSON object');
  }
  if (hasTooManyValues(body)) throw tooManyValues();
  return Object.entries(body);
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

/**
 * A repeated name keeps all its values: `checkFields` joins or refuses them, and never picks one. A form may also have fields
 * without a name, or with one that nobody can see.
 */
function gather(fields: readonly (readonly [string, unknown])[]): Map<string, unknown> {
  const values = new Map<string, unknown>();
  for (const [given, value] of fields) {
    const isUnnamed = /^[\p{Zs}\p{Default_Ignorable_Code_Point}]*$/u.test(given);
    if (isUnnamed && (value === null || value === '')) continue;
    const name = isUnnamed ? 'unnamed' : given;
    values.set(name, values.has(name) ? [values.get(name), value].flat() : value);
  }
  return values;
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
