import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Router, { type RouterContext } from '@koa/router';
import { readReceipt } from '../../services/ids.ts';
import type { RequestState } from '../http/request-scope.ts';
import type { Pages } from './pages.ts';

/** Files that are served unchanged. `anywhere`: pages of other sites may load them. */
const assets = [
  { path: '/form.js', file: 'form.min.js', type: 'text/javascript; charset=utf-8', anywhere: true },
  { path: '/page.js', file: 'page.js', type: 'text/javascript; charset=utf-8', anywhere: false },
  { path: '/style.css', file: 'style.css', type: 'text/css; charset=utf-8', anywhere: false },
  { path: '/icon.svg', file: 'icon.svg', type: 'image/svg+xml', anywhere: false },
];

/** Pages for people, and the files that these pages and other sites' forms load. */
export function createPageRoutes(pages: Pages): Router<RequestState> {
  const router = new Router<RequestState>();
  router.get('/', (ctx) => sendPage(ctx, pages.landing));
  router.get('/docs', (ctx) => sendPage(ctx, pages.docs));
  router.get('/thanks', (ctx) => {
    const receipt = typeof ctx.query.receipt === 'string' ? readReceipt(ctx.query.receipt) : undefined;
    sendPage(ctx, pages.thanks(receipt, ctx.get('Referer')));
  });
  router.get('/openapi.json', (ctx) => {
    // Also for tools on pages of other sites.
    ctx.set({ 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' });
    ctx.type = 'application/json; charset=utf-8';
    ctx.body = pages.openapi;
  });
  for (const asset of assets.map(readAsset)) router.get(asset.path, (ctx) => sendAsset(ctx, asset));
  return router;
}

function sendPage(ctx: RouterContext<RequestState>, html: string): void {
  ctx.type = 'html';
  ctx.body = html;
}

function readAsset({ file, ...asset }: (typeof assets)[number]) {
  const body = readFileSync(new URL(`./assets/${file}`, import.meta.url));
  // Made from the content, so that it is the same on every server.
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { ...asset, body, etag };
}

/** Browsers cache it for five minutes and then ask whether it changed, so a new version soon arrives everywhere. */
function sendAsset(ctx: RouterContext<RequestState>, asset: ReturnType<typeof readAsset>): void {
  ctx.set('Cache-Control', 'public, max-age=300');
  ctx.set('ETag', asset.etag);
  if (asset.anywhere) {
    // <script type="module"> and `integrity` need the second header.
    ctx.set({ 'Cross-Origin-Resource-Policy': 'cross-origin', 'Access-Control-Allow-Origin': '*' });
  }
  ctx.status = 200;
  if (ctx.fresh) {
    ctx.status = 304;
    return;
  }
  ctx.type = asset.type;
  ctx.body = asset.body;
}
