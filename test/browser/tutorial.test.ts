import { expect } from 'chai';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { blocksOf } from '../support/documents.ts';
import { RunningServer } from '../support/program.ts';
import { openSite } from '../support/static-site.ts';

describeInBrowser("the tutorial's page", (browser) => {
  let db: TestDatabase;
  let server: RunningServer;

  before(async () => {
    db = await createDatabase();
    server = await RunningServer.start({ DATABASE_URL: db.url }, ['serve', '--no-deliver']);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  it('shows a field error, then the receipt, and stores a double click once', async () => {
    const html = blocksOf('docs/tutorial.md').find((it) => it.file === 'site/index.html')?.text ?? '';
    await using site = await openSite({ '/': html.replaceAll('http://localhost:3000', server.url) });
    await using watched = await openPage(browser());
    const { page } = watched;
    await page.goto(`${site.url}/`);

    await page.fill('[name=message]', 'From my page');
    await page.click('button');
    expect(await page.getAttribute('[name=email]', 'aria-invalid')).to.equal('true');

    await page.fill('[name=email]', 'ada@example.test');
    await page.dblclick('button');
    await page.waitForSelector('form[data-ruffinweb="sent"]');
    const [row] = await db.query<{ receipt: string }>('select receipt from messages');
    expect(await page.textContent('[data-ruffinweb-status]')).to.include(row?.receipt);
    expect(page.url()).to.equal(`${site.url}/`);
    expect(await db.count('messages')).to.equal(1);
  });
});
