import { readFileSync } from 'node:fs';
import Router from '@koa/router';
import type { Middleware } from 'koa';
import { readReceipt } from '../../services/ids.ts';
import type { RequestState } from '../http/request-scope.ts';
import type { Pages } from './pages.ts';
import { sendStatic, staticFile } from './static-files.ts';

/** `anywhere`: pages of other sites may load it. */
const assets = [
  { path: '/form.js', file: 'form.min.js', type: 'text/javascript; charset=utf-8', anywhere: true },
  { path: '/form.css', file: 'form.css', type: 'text/css; charset=utf-8', anywhere: true },
  { path: '/page.js', file: 'page.js', type: 'text/javascript; charset=utf-8', anywhere: false },
  { path: '/style.css', file: 'style.css', type: 'text/css; charset=utf-8', anywhere: false },
  { path: '/icon.svg', file: 'icon.svg', type: 'image/svg+xml', anywhere: false },
];

/** Browsers cache it for five minutes and then ask whether it changed, so a new version soon arrives everywhere. */
const someMinutes = 'public, max-age=300';

/** Pages for people, and the files that these pages and other sites' forms load. */
export function createPageRoutes(pages: Pages, limit: readonly Middleware[]): Router<RequestState> {
  const router = new Router<RequestState>();
  const html = 'text/html; charset=utf-8';
  const files = [
    { path: '/', anywhere: false, file: staticFile(pages.landing, html, 'no-cache') },
    { path: '/docs', anywhere: false, file: staticFile(pages.docs, html, 'no-cache') },
    // Also for tools on pages of other sites.
    {
      path: '/openapi.json',
      anywhere: true,
      file: staticFile(pages.openapi, 'application/json; charset=utf-8', 'no-cache'),
    },
    ...assets.map(({ path, anywhere, file, type }) => ({
      path,
      anywhere,
      file: staticFile(readFileSync(new URL(`./assets/${file}`, import.meta.url)), type, someMinutes),
    })),
  ];
  for (const { path, anywhere, file } of files) {
    router.get(path, ...limit, (ctx) => {
      // <script type="module"> and `integrity` need the first header.
      if (anywhere) ctx.set({ 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' });
      sendStatic(ctx, file);
    });
  }
  router.get('/thanks', ...limit, (ctx) => {
    const receipt = typeof ctx.query.receipt === 'string' ? readReceipt(ctx.query.receipt) : undefined;
    ctx.type = 'html';
    ctx.body = pages.thanks(receipt, ctx.get('Referer'));
  });
  return router;
}
