import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** A file that is served as it stands. */
export interface Asset {
  path: string;
  type: string;
  body: Buffer;
  /** Made of the content, so that it is the same on every server that serves the same. */
  etag: string;
  /** Whether pages of other sites may load it. */
  anywhere: boolean;
}

const files = [
  { path: '/form.js', file: 'form.min.js', type: 'text/javascript; charset=utf-8', anywhere: true },
  { path: '/page.js', file: 'page.js', type: 'text/javascript; charset=utf-8', anywhere: false },
  { path: '/style.css', file: 'style.css', type: 'text/css; charset=utf-8', anywhere: false },
  { path: '/icon.svg', file: 'icon.svg', type: 'image/svg+xml', anywhere: false },
];

/** Reads them once. */
export function openAssets(): Asset[] {
  return files.map(({ file, ...rest }) => {
    const body = readFileSync(new URL(`./assets/${file}`, import.meta.url));
    const hash = createHash('sha256').update(body).digest('base64url');
    return { ...rest, body, etag: `"${hash.slice(0, 22)}"` };
  });
}
