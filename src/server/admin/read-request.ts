import type { Context } from 'koa';
import readBody from 'raw-body';
import * as z from 'zod';
import { Problem } from '../../problems.ts';
import { isInKnownYears } from '../../services/clock.ts';
import { bodyTooLarge } from '../http/body-limits.ts';

/** In bytes. No request needs more. */
const bodyLimit = 4096;

/** A time (RFC 3339) or a day. */
export const moment = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()])
  .transform((text) => new Date(text))
  .refine(isInKnownYears, 'the year must be from 1970 to 9999 (UTC)');

/** Refuses unknown parameters: a misspelt filter would show too much. @throws {Problem} argument-invalid */
export function readQuery<Shape extends z.ZodRawShape>(ctx: Context, shape: Shape): z.infer<z.ZodObject<Shape>> {
  return check('the query', shape, { ...ctx.query });
}

/**
 * Reads a small JSON object. No body counts as an empty object.
 *
 * @throws {Problem} body-too-large, body-unreadable, body-type-unknown, argument-invalid
 */
export async function readSmallBody<Shape extends z.ZodRawShape>(
  ctx: Context,
  shape: Shape,
): Promise<z.infer<z.ZodObject<Shape>>> {
  return check('the body', shape, await readJson(ctx));
}

async function readJson(ctx: Context): Promise<unknown> {
  const text = await readBody(ctx.req, { limit: bodyLimit, encoding: 'utf8' }).catch((error: { type?: unknown }) => {
    throw error.type === 'entity.too.large'
      ? bodyTooLarge(bodyLimit)
      : new Problem('body-unreadable', 'the body ended too soon');
  });
  if (text === '') return {};
  if (ctx.request.is('json') !== 'json') throw new Problem('body-type-unknown', 'send application/json');
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem('body-unreadable', 'the body is not valid JSON');
  }
}

function check<Shape extends z.ZodRawShape>(where: string, shape: Shape, given: unknown): z.infer<z.ZodObject<Shape>> {
  const parsed = z.strictObject(shape).safeParse(given);
  if (parsed.success) return parsed.data as z.infer<z.ZodObject<Shape>>;
  const [issue] = parsed.error.issues;
  const path = issue?.path.join('.') ?? '';
  throw new Problem('argument-invalid', `${where} is not valid: ${path === '' ? '' : `${path}: `}${issue?.message}`);
}
