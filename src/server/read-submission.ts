import type { Context } from 'koa';
import readBody from 'raw-body';
import { Problem } from '../problems.ts';
import type { Submission } from '../services/check-fields.ts';

/** The largest body that is read, in bytes. */
export const bodyLimit = 64 * 1024;

/**
 * Reads what was posted, without believing any of it.
 *
 * @throws {Problem} body-too-large, body-type-unknown, body-unreadable
 */
export async function readSubmission(ctx: Context, formSlug: string): Promise<Submission> {
  return {
    formSlug,
    values: await readValues(ctx),
    clientAddress: ctx.req.socket.remoteAddress,
    idempotencyKey: ctx.get('Idempotency-Key') || undefined,
  };
}

async function readValues(ctx: Context): Promise<Map<string, unknown>> {
  const type = ctx.request.is('json', 'urlencoded');
  const charset = ctx.request.charset.toLowerCase();
  if (type !== 'json' && type !== 'urlencoded') {
    throw new Problem('body-type-unknown', 'send application/json or application/x-www-form-urlencoded');
  }
  if (charset !== '' && charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
    throw new Problem('body-type-unknown', 'send the body in UTF-8');
  }
  if ((ctx.get('Content-Encoding') || 'identity') !== 'identity') {
    throw new Problem('body-type-unknown', 'send the body without Content-Encoding');
  }
  const text = decode(await readBytes(ctx));
  return type === 'json' ? readJson(text) : readUrlencoded(text);
}

async function readBytes(ctx: Context): Promise<Buffer> {
  try {
    return await readBody(ctx.req, { limit: bodyLimit, length: ctx.get('Content-Length') || null });
  } catch (error) {
    if ((error as { type?: unknown }).type === 'entity.too.large') {
      throw new Problem('body-too-large', `the body must be no larger than ${bodyLimit / 1024} KiB`);
    }
    throw new Problem('body-unreadable', 'the body ended too soon');
  }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Problem('body-unreadable', 'the body is not valid UTF-8');
  }
}

function readJson(text: string): Map<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // The parser's message would quote the body.
    throw new Problem('body-unreadable', 'the body is not valid JSON');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Problem('body-unreadable', 'the body must be a JSON object');
  }
  return new Map(Object.entries(body));
}

/** A name given more than once keeps all its values, so that checking it refuses it rather than picks one. */
function readUrlencoded(text: string): Map<string, unknown> {
  const params = new URLSearchParams(text);
  return new Map(
    [...new Set(params.keys())].map((name) => {
      const values = params.getAll(name);
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
}
