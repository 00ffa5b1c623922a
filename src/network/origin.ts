/** How the webview of an app names its pages: `capacitor://localhost`. The URL standard gives these schemes no origin. */
const appOrigin = /^([a-z][a-z0-9+.-]*:\/\/[a-z0-9_.-]+(?::\d{1,5})?)\/?$/;

/** The schemes for which a URL has an origin of its own. Only the pages of the first two can post. */
const standardScheme = /^(?:https?|wss?|ftp|file|blob):/;

/** Reads an origin, maybe with a slash at its end, and writes it as browsers do in `Origin`. */
export function readOrigin(text: string): string | undefined {
  const lower = text.toLowerCase();
  const url = URL.parse(text);
  // A port may be too large.
  if (!standardScheme.test(lower)) return url === null ? undefined : appOrigin.exec(lower)?.[1];
  return url !== null && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/` ? url.origin : undefined;
}
