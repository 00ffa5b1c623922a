import type { Config } from '../../config/config.ts';
import type { Form } from '../../entities/index.ts';
import { isLoopback } from '../../network/ip-network.ts';
import { Problem } from '../../problems.ts';

type OriginSettings = Pick<Config, 'publicUrl' | 'allowedOrigins' | 'loopbackOrigins'>;

/** In characters. The URLs of real pages are shorter. */
const maxNextLength = 2000;

/**
 * Refuses posts from pages that a form does not know. Programs send no `Origin` and may post. `null` can be anybody: pages
 * with the Referrer-Policy `no-referrer` or `same-origin` send it, and so do sandboxed frames and files.
 *
 * @throws {Problem} origin-refused
 */
export function refuseForeignOrigin(
  config: OriginSettings,
  form: Pick<Form, 'origins'>,
  origin: string | undefined,
): void {
  if (origin === undefined || isAllowed(config, form.origins, origin)) return;
  throw new Problem(
    'origin-refused',
    origin === 'null'
      ? "the page's Referrer-Policy hides its address; use strict-origin-when-cross-origin, or form.js"
      : 'pages of this origin may not post to this form',
  );
}

/** Whether the environment lets pages of this origin post, independent of the form. */
export function isAllowedByEnvironment(config: OriginSettings, origin: string): boolean {
  return config.allowedOrigins.includes(origin) || isOurOwn(config, origin);
}

/**
 * Reads `_next`, the page to send the visitor to. Only the origins that may post are allowed. The URL is parsed as browsers
 * parse it, since `//evil.example` and `/\evil.example` only look like paths.
 *
 * @param formOrigins called only if the environment does not allow the origin.
 */
export async function readNext(
  config: OriginSettings,
  formOrigins: () => Promise<readonly string[] | null | undefined>,
  value: unknown,
): Promise<string | undefined> {
  if (typeof value !== 'string' || value.trim() === '' || value.length > maxNextLength) return undefined;
  const url = URL.parse(value, config.publicUrl);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return undefined;
  const allowed = isAllowedByEnvironment(config, url.origin) || ((await formOrigins())?.includes(url.origin) ?? false);
  return allowed ? url.href : undefined;
}

/** A form's own origins replace the environment's. Our own pages may always post. */
function isAllowed(config: OriginSettings, formOrigins: readonly string[] | null | undefined, origin: string): boolean {
  if (!formOrigins?.length) return isAllowedByEnvironment(config, origin);
  return formOrigins.includes(origin) || isOurOwn(config, origin);
}

/** Whether a page of this host may post to the form. */
export function isAllowedHost(config: OriginSettings, { origins }: Pick<Form, 'origins'>, hostname: string): boolean {
  const known = [...(origins?.length ? origins : config.allowedOrigins), config.publicUrl];
  return (
    known.some((origin) => new URL(origin).hostname === hostname) || (config.loopbackOrigins && isLoopback(hostname))
  );
}

function isOurOwn(config: OriginSettings, origin: string): boolean {
  return origin === new URL(config.publicUrl).origin || (config.loopbackOrigins && isLoopbackOrigin(origin));
}

function isLoopbackOrigin(origin: string): boolean {
  const url = URL.parse(origin);
  return url !== null && /^https?:$/.test(url.protocol) && isLoopback(url.hostname);
}
