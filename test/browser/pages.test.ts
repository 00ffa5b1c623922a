import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';

const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

describeInBrowser('every page', (browser) => {
  let db: TestDatabase;
  let server: RunningServer;
  let folder: string;

  before(async () => {
    db = await createDatabase();
    server = await RunningServer.start({ DATABASE_URL: db.url, RATE_LIMIT: 'off' }, ['serve', '--no-deliver']);
    folder = await mkdtemp(join(tmpdir(), 'ruffinweb-pictures-'));
  });
  after(async () => {
    console.log(`\n  pictures of every page are in ${folder}`);
    await server[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  const open = (path: string) => async (page: Page) => {
    await page.goto(server.url + path);
  };
  const withoutUpgrade = async (page: Page) => {
    await page.goto(server.url);
    await page.evaluate(`document.forms[0].removeAttribute('data-ruffinweb'); document.forms[0].noValidate = true`);
    await page.fill('[name=name]', 'Ada');
  };
  const send = (page: Page) => page.click('#try button');

  const pages: Record<string, (page: Page) => Promise<void>> = {
    landing: open('/'),
    'landing-faults': async (page) => {
      await page.goto(server.url);
      await send(page);
      await page.waitForSelector('[data-ruffinweb=invalid]');
    },
    'landing-sent': async (page) => {
      await page.goto(server.url);
      await page.fill('[name=email]', 'ada@example.test');
      await page.fill('[name=message]', 'Hello');
      await send(page);
      await page.waitForSelector('[data-ruffinweb=sent]');
    },
    docs: async (page) => {
      await page.goto(`${server.url}/docs`);
      await page.evaluate('for (const it of document.querySelectorAll("details")) it.open = true');
    },
    thanks: open('/thanks?receipt=RW-7Q2M4XK9TB'),
    'not-found': open('/nowhere'),
    correction: async (page) => {
      await withoutUpgrade(page);
      await send(page);
      await page.waitForSelector('text=Almost there');
    },
    'origin-refused': async (page) => {
      await withoutUpgrade(page);
      await page.evaluate(
        `document.head.insertAdjacentHTML('beforeend', '<meta name="referrer" content="no-referrer">')`,
      );
      await page.fill('[name=email]', 'ada@example.test');
      await page.fill('[name=message]', `Hello\nthere, ${'a long word'.replaceAll(' ', '').repeat(12)}`);
      await send(page);
      await page.waitForSelector('text=What you typed');
    },
    'our-fault': async (page) => {
      await withoutUpgrade(page);
      await page.fill('[name=email]', 'ada@example.test');
      await page.fill('[name=message]', 'Hello');
      await db.query('alter table messages rename column content to content_away');
      await send(page);
      await page.waitForSelector('text=That did not work');
      await db.query('alter table messages rename column content_away to content');
    },
  };

  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [size, viewport] of Object.entries(sizes)) {
      for (const [name, show] of Object.entries(pages)) {
        it(`meets accessibility rules: ${name}, ${colorScheme}, ${size}`, async () => {
          await using watched = await openPage(browser(), { colorScheme, viewport });
          const { page, faults } = watched;
          await show(page);
          await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${size}.png`), fullPage: true });
          expect(await seriousFaults(page)).to.deep.equal([]);
          expect(await page.evaluate('document.documentElement.scrollWidth'), 'as wide as the window').to.equal(
            viewport.width,
          );
          expect(faults).to.deep.equal([]);
        });
      }
    }
  }

  it('shows one example at a time and copies it', async () => {
    await using watched = await openPage(browser(), { permissions: ['clipboard-read', 'clipboard-write'] });
    const { page, faults } = watched;
    await page.goto(server.url);
    expect(await page.locator('.panel:visible').count()).to.equal(1);
    await page.locator('#for-html').focus();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('.panel:visible').getAttribute('data-for')).to.equal('fetch');
    // It says so for only two seconds.
    await Promise.all([
      page.locator('.panel:visible .copy', { hasText: 'Copied' }).waitFor(),
      page.locator('.panel:visible .copy').click(),
    ]);
    expect(await page.evaluate('navigator.clipboard.readText()')).to.equal(
      await page.locator('[data-for=fetch] code').textContent(),
    );
    expect(faults).to.deep.equal([]);
  });
});

/** Accessibility violations found by axe-core, each with its element. */
async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate('axe.run()')) as axe.AxeResults;
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}
