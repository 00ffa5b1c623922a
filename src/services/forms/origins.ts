import type { Config } from '../../config/config.ts';
import type { Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';

type OriginSettings = Pick<Config, 'publicUrl' | 'allowedOrigins' | 'loopbackOrigins'>;

/** Longer addresses than this are none that a page would send its visitors to. */
const longestNext = 2000;

/**
 * A browser says truthfully which page a post comes from; a page that the form does not know may not post. What
 * is no browser sends no `Origin` and is taken. `null` may be anybody: a page whose Referrer-Policy is `no-referrer` or
 * `same-origin` posts its forms so, and so does a sandboxed frame or a file.
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

/** Whether the environment, whatever a form says, lets pages of this origin post. */
export function isAllowedByEnvironment(config: OriginSettings, origin: string): boolean {
  return config.allowedOrigins.includes(origin) || isOurOwn(config, origin);
}

/**
 * Where `_next` sends the visitor, if that is an address on a site that belongs to us or to the form's owner.
 * The address is read as browsers read it, and only what was read is used: what looks like a path may be none
 * (`//evil.example`, `/\evil.example`).
 *
 * @param formOrigins asked only where the environment does not settle it.
 */
export async function readNext(
  config: OriginSettings,
  formOrigins: () => Promise<readonly string[] | null | undefined>,
  value: unknown,
): Promise<string | undefined> {
  if (typeof value !== 'string' || value.trim() === '' || value.length > longestNext) return undefined;
  const url = URL.parse(value, config.publicUrl);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return undefined;
  const allowed = isAllowedByEnvironment(config, url.origin) || ((await formOrigins())?.includes(url.origin) ?? false);
  return allowed ? url.href : undefined;
}

/** A form's own origins stand in the place of the environment's; our own pages may always post. */
function isAllowed(config: OriginSettings, formOrigins: readonly string[] | null | undefined, origin: string): boolean {
  if (!formOrigins?.length) return isAllowedByEnvironment(config, origin);
  return formOrigins.includes(origin) || isOurOwn(config, origin);
}

function isOurOwn(config: OriginSettings, origin: string): boolean {
  return origin === new URL(config.publicUrl).origin || (config.loopbackOrigins && isLoopback(origin));
}

function isLoopback(origin: string): boolean {
  return /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/.test(origin);
}
