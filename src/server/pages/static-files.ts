import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { RouterContext } from '@koa/router';
import type { RequestState } from '../http/request-scope.ts';

/** A file that is the same for everybody, ready to be sent as it is or compressed. */
export type StaticFile = ReturnType<typeof staticFile>;

/** @param cache the `Cache-Control` header. */
export function staticFile(content: string | Buffer, type: string, cache: string) {
  const body = Buffer.from(content);
  return { type, cache, identity: tagged(body), gzip: tagged(gzipSync(body, { level: 9 })) };
}

/** The tag is made from the content, so that it is the same on every server. */
function tagged(body: Buffer) {
  return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
}

export function sendStatic(ctx: RouterContext<RequestState>, { type, cache, ...forms }: StaticFile): void {
  const encoding = ctx.acceptsEncodings('gzip', 'identity') === 'gzip' ? 'gzip' : 'identity';
  ctx.vary('Accept-Encoding');
  ctx.set('Cache-Control', cache);
  // Before 304 too: it decides about the policy, and a browser applies the headers of a 304 to the page it has.
  ctx.type = type;
  ctx.status = 200;
  for (const form of [forms.identity, forms.gzip, forms[encoding]]) {
    ctx.set('ETag', form.etag);
    if (!ctx.fresh) continue;
    ctx.status = 304;
    return;
  }
  if (encoding === 'gzip') ctx.set('Content-Encoding', encoding);
  ctx.body = forms[encoding].body;
}
