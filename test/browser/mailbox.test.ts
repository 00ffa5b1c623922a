import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import axe from 'axe-core';
import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { createDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/program.ts';
import { startServerHere } from '../support/server-here.ts';
import { until } from '../support/until.ts';

describeInBrowser('the mailbox', (browser) => {
  it('opens at the printed address and shows a mail in its frame', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    await using server = await startServerHere({ DATABASE_URL: db.url, DATA_DIR: folder.path }, { deliver: true });
    await clientOf(server.url).post('/api/messages', submission({ message: 'For the owner alone' }));
    await until('two mails are written', async () => {
      const names = await readdir(join(folder.path, 'mail')).catch(() => []);
      return names.filter((it) => it.endsWith('.eml')).length === 2;
    });
    const printed = new URL(/mailbox +(http:\S+)/.exec(server.output)?.[1] ?? '');
    await using watched = await openPage(browser(), { viewport: { width: 390, height: 844 } });
    const { page, faults } = watched;

    await page.goto(`${printed.origin}/mailbox`);
    expect(await page.textContent('main')).to.include(
      'Open the mailbox address that the server printed when it started.',
    );

    await page.goto(printed.href);
    expect(page.url()).to.equal(`${printed.origin}/mailbox`);
    expect(await page.evaluate('document.documentElement.scrollWidth'), 'as wide as the window').to.equal(390);
    await page.click('li:has-text("notification") a');
    await page.frameLocator('iframe').locator('.quote', { hasText: 'For the owner alone' }).waitFor();
    expect(await page.locator('.panel:visible').count()).to.equal(1);
    await page.check('#for-headers');
    await page.locator('dt:visible', { hasText: 'Message-ID' }).waitFor();
    expect(await page.evaluate('document.documentElement.scrollWidth'), 'with long headers').to.equal(390);
    await page.check('#for-text');
    await page.locator('pre:visible', { hasText: 'For the owner alone' }).waitFor();
    await page.evaluate(axe.source);
    const { violations } = (await page.evaluate('axe.run()')) as axe.AxeResults;
    expect(violations.map(({ id }) => id)).to.deep.equal([]);
    await page.goto(`${printed.origin}/thanks`);
    await page.click('text=open the mailbox');
    await page.waitForSelector('li:has-text("notification")');
    expect(faults).to.deep.equal([]);
  });
});
