import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { showMessage } from '../../src/services/messages/messages.ts';
import { openScope } from '../../src/services/scope.ts';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { bundle } from '../support/bundle.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';

const receipt = /^RW-[0-9A-HJKMNP-TV-Z]{10}$/;

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

      /** The fetch example as a bundler compiles it: imports first, the rest in a function called on each click. */
      async function loadFetch(page: Page): Promise<() => Promise<unknown>> {
        const lines = (await example(page, 'fetch')).split('\n');
        const imports = lines.filter((it) => it.startsWith('import ')).join('\n');
        const body = lines.filter((it) => !it.startsWith('import ')).join('\n');
        await page.evaluate(
          await bundle(`${imports}\nglobalThis.post = async () => { ${body}\nreturn { receipt, errors, detail }; };`),
        );
        return () => page.evaluate('globalThis.post()');
      }

      it('fetch: stores repeated posts once and survives a foreign answer', async () => {
        await using watched = await openPage(browser());
        const { page, faults } = watched;
        await page.goto(server.url);
        const post = await loadFetch(page);
        await page.route('**/api/messages', async (route) => {
          await route.fetch();
          await route.fulfill({ status: 200, contentType: 'text/html', body: '<h1>Home</h1>' });
        });
        expect(await post())
          .to.have.property('receipt')
          .that.equals(undefined);
        await page.unroute('**/api/messages');
        expect(await post())
          .to.have.property('receipt')
          .that.matches(receipt);
        expect(await db.count('messages'), 'a second click after a lost answer').to.equal(1);
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
          .to.include('Please try again.')
          .and.include('"disabled":false');
        await page.unroute('**/api/messages');
        await page.route('**/api/messages', async (route) => {
          await route.fetch();
          await route.fulfill({ status: 200, contentType: 'text/html', body: '<h1>Home</h1>' });
        });
        expect(await click())
          .to.include('Please try again.')
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
