import { Readable } from 'node:stream';
import type { RouterContext } from '@koa/router';
import type { Config } from '../../config/config.ts';
import { Problem } from '../../problems.ts';
import type { Admission } from '../../services/api-keys/api-keys.ts';
import type { Page } from '../../services/paging.ts';
import type { RequestState } from '../http/request-scope.ts';

export type Ctx = RouterContext<RequestState>;

/** A key that is limited to some forms must not show who wrote to other forms. */
export async function forAllForms(ctx: Ctx, next: () => Promise<unknown>): Promise<void> {
  requireAllForms(ctx);
  await next();
}

/** @throws {Problem} key-forbidden, if the key is limited to some forms. */
export function requireAllForms(ctx: Ctx): void {
  if (withinOf(ctx) === undefined) return;
  throw new Problem('key-forbidden', 'this API key is limited to some forms, and senders do not belong to a form');
}

/** Ids of the forms that the key is limited to; undefined for all forms. */
export function withinOf(ctx: Ctx): readonly string[] | undefined {
  return admissionOf(ctx).within;
}

function admissionOf(ctx: Ctx): Admission {
  const { admission } = ctx.state;
  if (admission === undefined) throw new Error('this route does not check keys');
  return admission;
}

export function idOf(ctx: Ctx): string {
  return ctx.params.id ?? '';
}

/** Logs what a key changed or exported. Never log the person's name or address here. */
export function audit(
  ctx: Ctx,
  change: string,
  what: Record<string, string | number | undefined>,
  message = 'changed by key',
): void {
  ctx.state.scope.log.info({ audit: change, key: admissionOf(ctx).keyId, ...what }, message);
}

/** Answers a change with the changed thing. A key without the scope `read` gets only the id and the state. */
export function sendChanged<View extends { id: string }>(ctx: Ctx, view: View, state: readonly (keyof View)[]): void {
  const mayRead = admissionOf(ctx).scopes.includes('read');
  ctx.body = mayRead ? view : Object.fromEntries((['id', ...state] as const).map((name) => [name, view[name]]));
}

/** Restricts a filter to the forms of the key. */
export function withinKey<Filter extends object>(ctx: Ctx, filter: Filter): Filter & { within?: readonly string[] } {
  const within = withinOf(ctx);
  return { ...filter, ...(within && { within }) };
}

export function sendPage<Item>(ctx: Ctx, { publicUrl }: Pick<Config, 'publicUrl'>, page: Page<Item>): void {
  if (page.next !== null) {
    const query = new URLSearchParams({ ...ctx.query, cursor: page.next });
    ctx.set('Link', `<${publicUrl}${ctx.path}?${query}>; rel="next"`);
  }
  ctx.body = page;
}

export function wantsLines(ctx: Ctx): boolean {
  const type = ctx.accepts('application/json', 'application/jsonl', 'application/x-ndjson');
  return type === 'application/jsonl' || type === 'application/x-ndjson';
}

export function stream(ctx: Ctx, type: string, pieces: AsyncIterable<string>): void {
  const body = Readable.from(pieces);
  // A client must notice that an export is incomplete.
  body.once('error', (error) => {
    ctx.state.scope.log.error({ err: error }, 'export failed');
    ctx.res.destroy();
  });
  ctx.type = `${type}; charset=utf-8`;
  ctx.body = body;
}
