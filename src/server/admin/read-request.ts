import type { Context } from 'koa';
import readBody from 'raw-body';
import * as z from 'zod';
import { Problem } from '../../problems.ts';
import { isInKnownYears } from '../../services/clock.ts';

/** More than any change needs, in bytes. */
const bodyLimit = 4096;

/** A moment as RFC 3339 has it, or a day. */
export const moment = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()])
  .transform((text) => new Date(text))
  .refine(isInKnownYears, 'a year from 1970 to 9999 (UTC) is wanted');

/** Reads the query; a parameter that is not known is refused, since a filter that does nothing shows too much. */
export function readQuery<Shape extends z.ZodRawShape>(ctx: Context, shape: Shape): z.infer<z.ZodObject<Shape>> {
  const parsed = z.strictObject(shape).safeParse({ ...ctx.query });
  if (parsed.success) return parsed.data as z.infer<z.ZodObject<Shape>>;
  throw invalid('the query', parsed.error);
}

/**
 * Reads a small JSON object; no body at all counts as an empty one.
 *
 * @throws {Problem} body-too-large, body-unreadable, body-type-unknown, argument-invalid
 */
export async function readSmallBody<Shape extends z.ZodRawShape>(
  ctx: Context,
  shape: Shape,
): Promise<z.infer<z.ZodObject<Shape>>> {
  const parsed = z.strictObject(shape).safeParse(await readObject(ctx));
  if (parsed.success) return parsed.data as z.infer<z.ZodObject<Shape>>;
  throw invalid('the body', parsed.error);
}

async function readObject(ctx: Context): Promise<unknown> {
  const text = await readBody(ctx.req, { limit: bodyLimit, encoding: 'utf8' }).catch((error: { type?: unknown }) => {
    throw error.type === 'entity.too.large'
      ? new Problem('body-too-large', `the body must be no larger than ${bodyLimit / 1024} KiB`)
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

function invalid(where: string, error: z.core.$ZodError): Problem {
  const [issue] = error.issues;
  const path = issue?.path.join('.') ?? '';
  return new Problem('argument-invalid', `${where} is not valid: ${path === '' ? '' : `${path}: `}${issue?.message}`);
}
