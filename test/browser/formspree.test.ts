import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';
import { openSite } from '../support/static-site.ts';

/** The published script, as a site made for Formspree loads it. */
const script = readFileSync(new URL('../../node_modules/@formspree/ajax/dist/global.js', import.meta.url), 'utf8');

/** A page made for Formspree: only the address is ours. */
const pageFor = (url: string) => `<!doctype html><html lang="en"><meta charset="utf-8">
<link rel="icon" href="data:,"><title>Contact</title>
<form id="contact">
<div data-fs-success></div><div data-fs-error></div>
<label>E-mail <input type="text" name="email" data-fs-field></label><span data-fs-error="email"></span>
<label>Message <textarea name="message" data-fs-field></textarea></label>
<button type="submit" data-fs-submit-btn>Send</button>
</form>
<script>${script}</script>
<script>formspree('initForm', { formElement: '#contact', formId: 'contact', origin: '${url}' });</script></html>`;

describeInBrowser("Formspree's own script (@formspree/ajax) on another origin", (browser) => {
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

  it('shows an error at its field, then that the message was sent', async () => {
    await using site = await openSite({ '/': pageFor(server.url) });
    await using watched = await openPage(browser());
    const { page } = watched;
    await page.goto(`${site.url}/`);
    await page.fill('[name=email]', 'ada@');
    await page.fill('[name=message]', 'Hello there');
    await page.click('button');
    await page.waitForSelector('[data-fs-error="email"][data-fs-active]');
    expect(await page.textContent('[data-fs-error="email"]')).to.include('e-mail address');
    expect(await page.getAttribute('[name=email]', 'aria-invalid')).to.equal('true');
    expect(await db.count('messages')).to.equal(0);

    await page.fill('[name=email]', 'ada@example.test');
    await page.click('button');
    await page.waitForSelector('[data-fs-success][data-fs-active]');
    expect(await page.textContent('[data-fs-success]')).to.equal('Thank you!');
    expect(await db.count('messages')).to.equal(1);
  });

  it('stores a form without a message or an address', async () => {
    const before = await db.count('messages');
    const survey = pageFor(server.url)
      .replaceAll('textarea', 'input')
      .replaceAll('"email"', '"colour"')
      .replace('"message"', '"size"');
    await using site = await openSite({ '/': survey });
    await using watched = await openPage(browser());
    const { page } = watched;
    await page.goto(`${site.url}/`);
    await page.fill('[name=colour]', 'green');
    await page.click('button');
    await page.waitForSelector('[data-fs-success][data-fs-active]');
    expect(await db.count('messages')).to.equal(before + 1);
  });
});
