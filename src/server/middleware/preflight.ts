import { METHODS } from 'node:http';

/** Methods that a page of an allowed origin may use. */
export const allowedMethods: readonly string[] = ['GET', 'HEAD', 'POST'];

/** Pages may not send credentials. */
const refusedHeaders = new Set(['authorization', 'cookie', 'cookie2']);

/** In characters. Pages with several tracing libraries stay below 500. */
const maxNamesLength = 2000;

/** A header name (RFC 9110 §5.6.2). */
const token = /^[!#$%&'*+.^`|~\w-]+$/;

export interface PreflightVerdict {
  /** The requested headers that the page may send. */
  headers: string[];
  /** The refused method and headers, safe to log. */
  refused: string[];
}

/**
 * Judges a preflight from a page of an allowed origin. A page may send any header except credentials: tracing libraries and
 * htmx add headers to every request, and the server ignores headers it does not know.
 */
export function judgePreflight(method: string, requestedHeaders: string): PreflightVerdict {
  const refused = allowedMethods.includes(method) ? [] : [METHODS.includes(method) ? method : '-'];
  if (requestedHeaders.length > maxNamesLength) return { headers: [], refused: [...refused, 'too many headers'] };
  const names = requestedHeaders.split(',').map((name) => name.trim().toLowerCase());
  const isAllowed = (name: string) => token.test(name) && !refusedHeaders.has(name);
  const refusedNames = names
    .filter((name) => name !== '' && !isAllowed(name))
    .map((name) => (refusedHeaders.has(name) ? name : '-'));
  return { headers: names.filter(isAllowed), refused: [...new Set([...refused, ...refusedNames])] };
}
