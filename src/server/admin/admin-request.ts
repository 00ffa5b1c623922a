import { Readable } from 'node:stream';
import type { RouterContext } from '@koa/router';
import type { Config } from '../../config/config.ts';
import { Problem } from '../../problems.ts';
import type { Admission } from '../../services/api-keys/api-keys.ts';
import type { Page } from '../../services/paging.ts';
import type { RequestState } from '../http/request-scope.ts';

export type Ctx = RouterContext<RequestState>;

/** Who wrote to other forms is nothing that a key of some forms may find out. */
export async function forAllForms(ctx: Ctx, next: () => Promise<unknown>): Promise<void> {
  if (withinOf(ctx) !== undefined) {
    throw new Problem('key-forbidden', 'this API key is limited to forms, and senders belong to no form');
  }
  await next();
}

export function withinOf(ctx: Ctx): readonly string[] | undefined {
  return admissionOf(ctx).within;
}

function admissionOf(ctx: Ctx): Admission {
  const { admission } = ctx.state;
  if (admission === undefined) throw new Error('the route lets everybody in');
  return admission;
}

export function idOf(ctx: Ctx): string {
  return ctx.params.id ?? '';
}

/** Logs which key changed or exported what. Never names the person it concerns. */
export function audit(
  ctx: Ctx,
  change: string,
  what: Record<string, string | number | undefined>,
  words = 'changed by key',
): void {
  ctx.state.scope.log.info({ audit: change, key: admissionOf(ctx).keyId, ...what }, words);
}

/** Without what was not asked for. */
export function given<Values extends object>(
  values: Values,
): { [Key in keyof Values]?: Exclude<Values[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
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
  // Half of an export must not look like the whole.
  body.once('error', (error) => {
    ctx.state.scope.log.error({ err: error }, 'export broke off');
    ctx.res.destroy();
  });
  ctx.type = `${type}; charset=utf-8`;
  ctx.body = body;
}
