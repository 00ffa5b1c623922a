import type { Middleware } from 'koa';
import type { RequestState } from './request-scope.ts';

/** For data: a browser must not run or frame it. */
const dataPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * For our pages: styles and scripts only from files of this origin. If the visitor goes to another site after a post
 * (`_next`), the policy must name it, because browsers apply `form-action` to redirects too.
 */
function pagePolicy(next: string | undefined): string {
  const targets = next === undefined ? "'self'" : `'self' ${new URL(next).origin}`;
  return (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    `base-uri 'none'; form-action ${targets}; frame-ancestors 'none'`
  );
}

/** Headers of every response, including refusals and responses to malformed requests (OWASP Secure Headers Project). */
export function securityHeaders(secure: boolean): Record<string, string> {
  return {
    'Content-Security-Policy': dataPolicy,
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    // With "no-referrer" a browser would post our own forms with `Origin: null`.
    'Referrer-Policy': 'strict-origin-when-cross-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-store',
    'X-Robots-Tag': 'noindex',
    ...(secure && { 'Strict-Transport-Security': 'max-age=31536000' }),
  };
}

export function setSecurityHeaders(secure: boolean): Middleware<RequestState> {
  const headers = new Map(Object.entries(securityHeaders(secure)));
  return async (ctx, next) => {
    ctx.res.setHeaders(headers);
    await next();
    if (ctx.response.type === 'text/html') {
      ctx.set('Content-Security-Policy', ctx.state.pagePolicy ?? pagePolicy(ctx.state.next));
    }
  };
}
