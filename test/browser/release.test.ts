import { join } from 'node:path';
import axe from 'axe-core';
import { expect } from 'chai';
import { runMaintenanceOnce } from '../../src/services/maintenance/run-maintenance.ts';
import { runHere } from '../cli/terminal.ts';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/program.ts';
import { startServerHere } from '../support/server-here.ts';

describeInBrowser('the summary of held messages', (browser) => {
  it('delivers a message by its link and a button, and sends the token to nobody', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    const settings = { PUBLIC_URL: 'https://forms.site.test', NOTIFY_TO: 'owner@site.test', DATA_DIR: folder.path };
    await using context = await openTestContext(db, settings);
    const texts = ['Could you build me an engine? See https://engine.example/plans', 'Buy www.pills.example now'];
    await buildMessages(context, 2, (i) => ({ _gotcha: 'x', message: texts[i] }));
    await runMaintenanceOnce(context);
    const [{ id } = { id: '' }] = await db.query<{ id: string }>(`select id from emails where kind = 'held-summary'`);
    const shown = await runHere(['emails', 'show', id, '--mail', '--json'], db, { settings });
    const { html } = JSON.parse(shown.stdout).mail as { html: string };

    await using server = await startServerHere({ DATABASE_URL: db.url, DATA_DIR: folder.path });
    await using watched = await openPage(browser(), { viewport: { width: 390, height: 844 } });
    const { page, faults } = watched;
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setContent(html);
      await picture('summary', colorScheme);
    }
    await page.setContent(html);
    expect(await page.locator('a', { hasText: 'Deliver this one' }).count()).to.equal(2);
    const href = await page.locator('a', { hasText: 'Deliver this one' }).last().getAttribute('href');
    const link = (href ?? '').replace(settings.PUBLIC_URL, server.url);
    const seen: string[] = [];
    page.on('request', (request) => {
      const { referer = '' } = request.headers();
      seen.push(new URL(request.url()).pathname);
      if (referer.includes('token')) faults.push(`token sent to ${request.url()}`);
    });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto(link);
      await picture('question', colorScheme);
    }
    expect(await db.query(`select from messages where status = 'held'`)).to.have.lengthOf(2);
    await page.click('button');
    await page.waitForSelector('h1:has-text("Delivered")');
    await picture('delivered', 'dark');
    expect(await db.query(`select from messages where status = 'held'`)).to.have.lengthOf(1);
    await page.goto(link);
    await page.waitForSelector('h1:has-text("Already delivered")');
    await page.goto(link.replace(/.{9}$/, ''));
    await page.waitForSelector('h1:has-text("This link is incomplete")');
    expect(new Set(seen)).to.deep.equal(new Set(['/release', '/style.css', '/icon.svg']));
    expect(faults).to.deep.equal([]);

    /** Also looks for faults that keep people from using it. */
    async function picture(name: string, colorScheme: string): Promise<void> {
      const folderOfPictures = process.env.PICTURES;
      if (folderOfPictures !== undefined) {
        await page.screenshot({ path: join(folderOfPictures, `${name}-${colorScheme}.png`), fullPage: true });
      }
      expect(await page.evaluate('document.documentElement.scrollWidth'), name).to.be.at.most(390);
      await page.evaluate(axe.source);
      const { violations } = (await page.evaluate('axe.run()')) as axe.AxeResults;
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map((it) => it.id)).to.deep.equal([]);
    }
  });
});
