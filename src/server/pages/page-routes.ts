import type { RouterContext } from '@koa/router';
import Router from '@koa/router';
import { readReceipt } from '../../services/ids.ts';
import type { RequestState } from '../http/request-scope.ts';
import { type Asset, openAssets } from './assets.ts';
import type { Pages } from './pages.ts';

/** What people look at, and the files that these pages and other sites' forms load. */
export function createPageRoutes(pages: Pages): Router<RequestState> {
  const router = new Router<RequestState>();
  router.get('/', (ctx) => sendPage(ctx, pages.landing));
  router.get('/docs', (ctx) => sendPage(ctx, pages.docs));
  router.get('/thanks', (ctx) => {
    const receipt = typeof ctx.query.receipt === 'string' ? readReceipt(ctx.query.receipt) : undefined;
    sendPage(ctx, pages.thanks(receipt, ctx.get('Referer')));
  });
  router.get('/openapi.json', (ctx) => {
    // Anyone may read it, also a tool that runs in a page of another site.
    ctx.set({ 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' });
    ctx.type = 'application/json; charset=utf-8';
    ctx.body = pages.openapi;
  });
  for (const asset of openAssets()) router.get(asset.path, (ctx) => sendAsset(ctx, asset));
  return router;
}

function sendPage(ctx: RouterContext<RequestState>, html: string): void {
  ctx.type = 'html';
  ctx.body = html;
}

/** Browsers keep it for five minutes, then ask for it again by its tag: a new version is soon everywhere. */
function sendAsset(ctx: RouterContext<RequestState>, asset: Asset): void {
  ctx.set('Cache-Control', 'public, max-age=300');
  ctx.set('ETag', asset.etag);
  if (asset.anywhere) {
    // The second is for <script type="module"> and for `integrity`, which ask like a fetch.
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
