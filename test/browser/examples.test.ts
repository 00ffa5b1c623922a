import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { showMessage } from '../../src/services/messages/messages.ts';
import { openScope } from '../../src/services/scope.ts';
import { runHere } from '../cli/terminal.ts';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { bundle } from '../support/bundle.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';
import { type ServerHere, startServerHere } from '../support/server-here.ts';
import { openSite } from '../support/static-site.ts';

describeInBrowser('the landing page’s examples for scripts', (browser) => {
  for (const captcha of ['none', 'altcha']) {
    describe(`with CAPTCHA=${captcha}`, () => {
      let db: TestDatabase;
      let server: RunningServer;

      before(async () => {
        db = await createDatabase();
        server = await RunningServer.start({ DATABASE_URL: db.url, CAPTCHA: captcha, RATE_LIMIT: 'off' }, [
          'serve',
          '--no-deliver',
        ]);
      });
      after(async () => {
        await server[Symbol.asyncDispose]();
        await db[Symbol.asyncDispose]();
      });
      beforeEach(async () => {
        await db.empty();
      });

      /** The public address says localhost, but the page was opened by IP address. */
      const example = async (page: Page, id: string) =>
        ((await page.textContent(`[data-for=${id}] code`)) ?? '').replaceAll(/http:\/\/localhost:\d+/g, server.url);

      it('fetch: keeps every value after a lost or foreign answer, stores once', async () => {
        await using watched = await openPage(browser());
        const { page, faults } = watched;
        await page.goto(server.url);
        const [html = '', script = ''] = (await example(page, 'fetch')).split(/<script type="module">|<\/script>/);
        await page.evaluate(`document.body.insertAdjacentHTML('beforeend', ${JSON.stringify(html)})`);
        await page.evaluate(await bundle(script));
        const form = page.locator('#contact-form');
        const said = form.locator('[role=status]');
        await form.locator('[name=email]').fill('ada@example.test');
        await form.locator('[name=message]').fill('Hello');
        await page.route('**/api/messages', async (route) => {
          await route.fetch();
          await route.fulfill({ status: 200, contentType: 'text/html', body: '<h1>Home</h1>' });
        });
        await form.locator('button').click();
        await said.locator('text=Please try again.').waitFor();
        await page.unroute('**/api/messages');
        await form.locator('button').click();
        await said.locator('text=/Your reference is RW-/').waitFor();
        expect(await db.count('messages'), 'a second click after a lost answer').to.equal(1);
        expect(await form.locator('[name=message]').inputValue()).to.equal('');
        expect(faults).to.deep.equal([]);
      });

      it('React: keeps every value, survives lost or foreign answers, stores once', async () => {
        await using watched = await openPage(browser());
        const { page, faults } = watched;
        await page.goto(server.url);
        const code = (await example(page, 'react')).replace(
          "{ useState } from 'react'",
          "{ begin, h, useState } from 'react'",
        );
        await page.evaluate(`${await bundle(`${code}
          globalThis.rendered = () => { begin(); return ContactForm(); };
          globalThis.shown = () => JSON.stringify(rendered());`)}
          document.body.insertAdjacentHTML('beforeend', \`<form id="mine">
            <input name="email" value="ada@example.test"><textarea name="message">Hello</textarea>
            <input type="checkbox" name="colour" value="red" checked><input type="checkbox" name="colour" value="blue" checked>
          </form>\`);
          globalThis.click = () => rendered().props.onSubmit({
            preventDefault() {},
            currentTarget: document.querySelector('#mine'),
          });`);
        const shown = async () => (await page.evaluate('globalThis.shown()')) as string;
        const click = async () => {
          await page.evaluate('globalThis.click()');
          return await shown();
        };
        await page.route('**/api/messages', (route) => route.abort('connectionreset'));
        expect(await click())
          .to.include('please try again')
          .and.include('"disabled":false');
        await page.unroute('**/api/messages');
        await page.route('**/api/messages', async (route) => {
          await route.fetch();
          await route.fulfill({ status: 200, contentType: 'text/html', body: '<h1>Home</h1>' });
        });
        expect(await click())
          .to.include('please try again')
          .and.include('"disabled":false');
        await page.unroute('**/api/messages');
        expect(await click()).to.match(/Your reference is .*RW-/);
        await using context = await openTestContext(db);
        expect((await showMessage(openScope(context), 'latest')).extra).to.deep.equal({ colour: 'red, blue' });
        expect(await db.count('messages')).to.equal(1);
        expect(faults.filter((it) => !it.includes('ERR_CONNECTION_RESET'))).to.deep.equal([]);
      });
    });
  }
});

describeInBrowser('what "forms html" prints', (browser) => {
  let db: TestDatabase;
  let server: ServerHere;

  before(async () => {
    db = await createDatabase();
    server = await startServerHere({ DATABASE_URL: db.url });
    await printed('add', 'shop', '--require', 'phone', 'a "{b}"', '--captcha', 'altcha');
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  const printed = async (...args: string[]) =>
    (await runHere(['forms', ...args], db, { settings: { PUBLIC_URL: server.url } })).stdout;
  const onSite = (html: string) =>
    openSite({ '/': `<!doctype html><link rel="icon" href="data:,"><main>${html}</main>` });

  async function fill(page: Page): Promise<void> {
    for (const [label, text] of [
      ['E-mail', 'ada@example.test'],
      ['Phone', '+44 20 7946 0000'],
      ['A "{b}"', 'x'],
      ['Message', 'Hello'],
    ] as const) {
      await page.getByLabel(label).fill(text);
    }
  }

  it('HTML: posts with form.js and without it; the trap is hidden', async () => {
    await using site = await onSite(await printed('html', 'shop'));
    await using watched = await openPage(browser());
    const { page, faults } = watched;
    await page.goto(site.url);
    expect(await page.locator('[name=_gotcha]').isVisible()).to.equal(false);
    await page.click('button');
    expect(await page.locator('[aria-invalid=true]').count(), 'every field but the name').to.equal(4);
    await fill(page);
    await page.click('button');
    await page.waitForSelector('form[data-ruffinweb=sent]');
    await page.goto(site.url);
    await page.evaluate(`document.forms[0].removeAttribute('data-ruffinweb')`);
    await fill(page);
    await page.fill('[name=message]', 'Another one');
    await page.click('button');
    await page.locator('h1', { hasText: 'One more step' }).waitFor();
    expect(await page.textContent('main')).to.include('Form: Shop');
    await page.click('button');
    await page.waitForURL(/\/thanks\?receipt=RW-/);
    expect(await db.count('messages')).to.equal(2);
    expect(faults).to.deep.equal([]);
  });

  it('--fetch: shows errors at their fields, then the receipt', async () => {
    await printed('change', 'shop', '--captcha', 'none');
    await using site = await onSite(await printed('html', 'shop', '--fetch'));
    await using watched = await openPage(browser());
    const { page, faults } = watched;
    await page.goto(site.url);
    await fill(page);
    await page.getByLabel('Phone').fill(' ');
    await page.click('button');
    await page.locator('[role=status]', { hasText: 'Phone is required.' }).waitFor();
    expect(await page.getAttribute('[aria-invalid=true]', 'name')).to.equal('phone');
    await page.getByLabel('Phone').fill('1');
    await page.click('button');
    await page.locator('[role=status]', { hasText: /Your reference is RW-/ }).waitFor();
    expect(await page.locator('[aria-invalid=true]').count()).to.equal(0);
    expect(faults).to.deep.equal([]);
  });

  it('--react: compiles, with the label of each field', async () => {
    const code = await printed('html', 'shop', '--react');
    await using watched = await openPage(browser());
    const { page } = watched;
    await page.goto(server.url);
    await page.evaluate(
      `${await bundle(`${code.replace('{ useState }', '{ begin, h, useState }')}
      globalThis.shown = () => { begin(); return JSON.stringify(ContactForm()); };`)}`,
    );
    const shown = (await page.evaluate('globalThis.shown()')) as string;
    expect(shown).to.include('"children":["Phone ",{"type":"input"');
    expect(shown).to.include('"name":"phone","type":"tel","autoComplete":"tel","required":true');
    expect(shown).to.include('"name":"a \\"{b}\\""').and.include('"tabIndex":-1');
  });
});
