import type { Config } from '../../config/config.ts';
import type { Form } from '../../entities/index.ts';
import { isLoopback } from '../../ip-network.ts';
import { Problem } from '../../problems.ts';

type OriginSettings = Pick<Config, 'publicUrl' | 'allowedOrigins' | 'loopbackOrigins'>;

/** A real page has no longer URL than this. */
const maxNextLength = 2000;

/**
 * Browsers say truthfully which page a post comes from, and a form accepts only the pages it knows. Programs send no
 * `Origin` and may post. `null` can be anybody: pages whose Referrer-Policy is `no-referrer` or `same-origin` send it,
 * and so do sandboxed frames and files.
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
 * Reads `_next`, the page to send the visitor to. Only sites of ours or of the form's owner are allowed. It is parsed
 * as browsers parse it, and only the parsed URL is used: `//evil.example` and `/\evil.example` look like paths.
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

function isOurOwn(config: OriginSettings, origin: string): boolean {
  return origin === new URL(config.publicUrl).origin || (config.loopbackOrigins && isLoopbackOrigin(origin));
}

function isLoopbackOrigin(origin: string): boolean {
  const url = URL.parse(origin);
  return url !== null && /^https?:$/.test(url.protocol) && isLoopback(url.hostname);
}
