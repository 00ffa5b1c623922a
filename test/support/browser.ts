import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const candidates = process.env.CHROMIUM_PATH ? [process.env.CHROMIUM_PATH] : ['/usr/bin/chromium'];

/** Path of the browser; undefined if there is none. */
export const chromiumPath = candidates.find((path) => existsSync(path));

/** Why the browser tests cannot run here. */
export const whyNoBrowser =
  `there is no Chromium at ${candidates.join(', ')}; install it (Debian: apt-get install chromium) ` +
  'or name it in CHROMIUM_PATH';

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** @param env extra environment variables for the browser. */
export async function openBrowser(env: Record<string, string> = {}): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error(whyNoBrowser);
  return await chromium.launch({ executablePath: chromiumPath, args, env: { ...process.env, ...env } });
}

/**
 * Describes tests that need a browser. Without one it prints that and describes nothing, so no test counts as passed
 * without running.
 */
export function describeInBrowser(title: string, tests: (browser: () => Browser) => void): void {
  if (chromiumPath === undefined) {
    console.warn(`skipped "${title}": ${whyNoBrowser}`);
    return;
  }
  describe(title, () => {
    let browser: Browser;
    before(async () => {
      browser = await openBrowser();
    });
    after(async () => {
      await browser.close();
    });
    tests(() => browser);
  });
}

/** A page in a browser profile of its own, with every error that happened in it. */
export interface WatchedPage extends AsyncDisposable {
  page: Page;
  /** Console errors and warnings, script errors, and violations of a Content-Security-Policy. */
  faults: string[];
}

/** The browser's own console message for each error response; the tests check those responses themselves. */
const refusalNote = /^Failed to load resource: the server responded with a status of (400|403|404|410|422|429|500|503)/;

export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const faults: string[] = [];
  page.on('console', (message) => {
    const text = message.text();
    if (['error', 'warning'].includes(message.type()) && !refusalNote.test(text)) faults.push(text);
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  return { page, faults, [Symbol.asyncDispose]: () => context.close() };
}
