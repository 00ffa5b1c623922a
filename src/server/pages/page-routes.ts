import { readFileSync } from 'node:fs';
import Router from '@koa/router';
import type { Middleware } from 'koa';
import type { Config } from '../../config/config.ts';
import { catalogueOf, readLanguage } from '../../languages/languages.ts';
import { languageOf } from '../../services/forms/effective-settings.ts';
import { findForm } from '../../services/forms/forms.ts';
import { readReceipt } from '../../services/ids.ts';
import { type Language, languages } from '../../words.ts';
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
export function createPageRoutes(config: Config, pages: Pages, limit: readonly Middleware[]): Router<RequestState> {
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
      file: staticFile(readAsset(file, config.language), type, someMinutes),
    })),
  ];
  for (const { path, anywhere, file } of files) {
    router.get(path, ...limit, (ctx) => {
      // <script type="module"> and `integrity` need the first header.
      if (anywhere) ctx.set({ 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' });
      sendStatic(ctx, file);
    });
  }
  router.get('/thanks', ...limit, async (ctx) => {
    const { receipt, form: slug, language: page } = ctx.query;
    const { scope, intake } = ctx.state;
    // The message is stored: its visitor is thanked even if the database is away.
    const form = typeof slug === 'string' ? await findForm(scope, slug).catch(() => intake.forms.get(slug)) : undefined;
    const language = languageOf(config, form ?? {}, readLanguage(page));
    ctx.type = 'html';
    ctx.body = pages.thanks(readReceipt(String(receipt)), ctx.get('Referer'), language, form);
  });
  return router;
}

/** Puts the sentences of all languages into `form.js`. */
function readAsset(file: string, language: Language): string {
  const sentences = Object.fromEntries(languages.map((it) => [it, { ...catalogueOf(it).script, language: it }]));
  const json = JSON.stringify([language, sentences]);
  return readFileSync(new URL(`./assets/${file}`, import.meta.url), 'utf8').replace('RUFFINWEB_LANGUAGES', () => json);
}
