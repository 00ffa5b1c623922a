import { createChallenge, type DeriveKeyFunction, type Payload, verifySolution } from 'altcha-lib';
import { deriveKey as derivePbkdf2 } from 'altcha-lib/algorithms/pbkdf2';
import { deriveKey as deriveSha } from 'altcha-lib/algorithms/sha';
import { expect } from 'chai';
import type { Page, Route } from 'playwright-core';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';
import { contactPage, openSite } from '../support/static-site.ts';

const secret = { hmacSignatureSecret: 'a secret of this test' };
const [algorithms, usual] = [
  [
    ['PBKDF2/SHA-256', derivePbkdf2, 500],
    ['PBKDF2/SHA-512', derivePbkdf2, 200],
    ['SHA-256', deriveSha, 1],
    ['SHA-384', deriveSha, 3],
  ] as [string, DeriveKeyFunction, number][],
  { algorithm: 'PBKDF2/SHA-256', cost: 200, deriveKey: derivePbkdf2 },
];

describeInBrowser('a form whose server requires a captcha', (browser) => {
  let db: TestDatabase;
  let server: RunningServer;

  before(async () => {
    db = await createDatabase();
    server = await RunningServer.start({ DATABASE_URL: db.url, CAPTCHA: 'altcha', RATE_LIMIT: 'off' }, [
      'serve',
      '--no-deliver',
    ]);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  async function fillAndSend(page: Page): Promise<void> {
    await page.fill('[name=email]', 'ada@example.test');
    await page.fill('[name=message]', 'Hello');
    await page.click('form button:not([type=button])');
  }

  const refuse = (route: Route, code: string) =>
    route.fulfill({
      status: 403,
      json: { code, status: 403, visitor: { language: 'en', text: 'A captcha must be solved.' } },
    });
  const store = (route: Route) => route.fulfill({ status: 201, json: { id: 'x', receipt: 'RW-7Q2M4XK9TB' } });

  for (const [algorithm, deriveKey, cost] of algorithms) {
    it(`solves a ${algorithm} challenge so that altcha-lib accepts it`, async () => {
      await using watched = await openPage(browser());
      const { page, faults } = watched;
      await page.route('**/api/captcha', async (route) => {
        await route.fulfill({ json: await createChallenge({ algorithm, cost, deriveKey, ...secret }) });
      });
      const verdicts: boolean[] = [];
      await page.route('**/api/messages', async (route) => {
        const { altcha } = route.request().postDataJSON();
        if (altcha === undefined) return await refuse(route, 'captcha-required');
        const payload = JSON.parse(atob(altcha)) as Payload;
        verdicts.push((await verifySolution({ ...payload, deriveKey, ...secret })).verified);
        await store(route);
      });
      await page.goto(server.url);
      await fillAndSend(page);
      await page.waitForSelector('[data-ruffinweb=sent]');
      expect(verdicts).to.deep.equal([true]);
      expect(faults).to.deep.equal([]);
    });
  }

  it('solves it before the first post, and again if the solution expired', async () => {
    await using watched = await openPage(browser());
    const { page } = watched;
    const signatures: string[] = [];
    await page.route('**/api/captcha', async (route) => {
      await route.fulfill({ json: await createChallenge({ ...usual, ...secret }) });
    });
    await page.route('**/api/messages', async (route) => {
      const payload = JSON.parse(atob(route.request().postDataJSON().altcha)) as Payload;
      signatures.push(payload.challenge.signature ?? '');
      await (signatures.length === 1 ? refuse(route, 'captcha-wrong') : store(route));
    });
    await page.goto(server.url);
    await fillAndSend(page);
    await page.waitForSelector('[data-ruffinweb=sent]');
    expect(new Set(signatures)).to.have.lengthOf(2);
  });

  it('requests a challenge for the form it posts to', async () => {
    await using watched = await openPage(browser());
    const { page } = watched;
    const asked: (string | null)[] = [];
    await page.route('**/api/captcha*', async (route) => {
      asked.push(new URL(route.request().url()).searchParams.get('form'));
      await route.fulfill({ json: await createChallenge({ ...usual, ...secret }) });
    });
    await page.route('**/messages', store);
    await page.route('**/f/shop', store);
    for (const action of ['/api/messages', '/api/forms/my-shop/messages', '/f/shop']) {
      await page.goto(server.url);
      await page.evaluate(`document.forms[0].setAttribute('action', '${action}')`);
      await fillAndSend(page);
      await page.waitForSelector('[data-ruffinweb=sent]');
    }
    expect(asked).to.deep.equal([null, 'my-shop', 'shop']);
  });

  it('finds its server as a module too', async () => {
    await using watched = await openPage(browser());
    const { page, faults } = watched;
    await page.route(`${server.url}/`, async (route) => {
      const response = await route.fetch();
      const body = (await response.text()).replace('/form.js" defer', '/form.js" type="module"');
      await route.fulfill({ response, body });
    });
    await page.route('**/api/captcha', async (route) => {
      await route.fulfill({ json: await createChallenge({ ...usual, ...secret }) });
    });
    await page.route('**/api/messages', (route) =>
      'altcha' in route.request().postDataJSON() ? store(route) : refuse(route, 'captcha-required'),
    );
    await page.goto(server.url);
    await fillAndSend(page);
    await page.waitForSelector('[data-ruffinweb=sent]');
    expect(faults).to.deep.equal([]);
  });

  it('keeps the page responsive while solving', async () => {
    await using watched = await openPage(browser());
    const { page } = watched;
    // A prefix no key ever matches: the solver works until the visitor leaves the page.
    const challenge = await createChallenge({ ...usual, keyPrefix: '00'.repeat(16), ...secret });
    await page.route('**/api/captcha', (route) => route.fulfill({ json: challenge }));
    await page.route('**/api/messages', (route) => refuse(route, 'captcha-required'));
    await page.goto(server.url);
    const refused = page.waitForResponse('**/api/captcha');
    await fillAndSend(page);
    await refused;
    await page.evaluate(`globalThis.frames = 0;
      const count = () => { globalThis.frames++; requestAnimationFrame(count); };
      requestAnimationFrame(count);`);
    await page.waitForFunction(() => (globalThis as unknown as { frames: number }).frames > 20);
    expect(await page.getAttribute('form', 'data-ruffinweb')).to.equal('sending');
  });

  it("shows the server's message if there is no challenge to solve", async () => {
    await using watched = await openPage(browser());
    const { page } = watched;
    await page.route('**/api/captcha', (route) => route.fulfill({ status: 404, json: {} }));
    await page.route('**/api/messages', (route) => refuse(route, 'captcha-required'));
    await page.goto(server.url);
    await fillAndSend(page);
    await page.waitForSelector('[data-ruffinweb=failed]');
    expect(await page.textContent('[data-ruffinweb-status]')).to.equal('A captcha must be solved.');
  });

  describe('served by our server', () => {
    beforeEach(async () => {
      await db.empty();
    });

    it('is accepted with its solution', async () => {
      await using watched = await openPage(browser());
      const { page, faults } = watched;
      const answers: number[] = [];
      page.on('response', (it) => {
        if (it.url().endsWith('/api/messages')) answers.push(it.status());
      });
      await page.goto(server.url);
      // As on a site whose owner forgot the captcha.
      await page.evaluate(`document.forms[0].removeAttribute('data-captcha')`);
      await fillAndSend(page);
      await page.waitForSelector('[data-ruffinweb=sent]');
      expect(answers).to.deep.equal([403, 201]);
      expect(await db.count('messages')).to.equal(1);
      expect(faults).to.deep.equal([]);
    });

    it('is accepted through the explaining page if its own page has no script', async () => {
      await using watched = await openPage(browser());
      const { page, faults } = watched;
      await page.goto(server.url);
      await page.evaluate(`document.forms[0].removeAttribute('data-ruffinweb')`);
      await fillAndSend(page);
      expect(await page.textContent('h1')).to.equal('One more step');
      await page.click('form button');
      await page.waitForURL('**/thanks?receipt=RW-*');
      expect(await db.count('messages')).to.equal(1);
      expect(faults).to.deep.equal([]);
    });

    it('redirects from that page to where its own page wanted', async () => {
      const page = '<!doctype html><link rel="icon" href="data:,"><title>Site</title>';
      const done = `${page}<h1>Done</h1>`;
      await using site = await openSite({ '/done': done, '/shop-done': done });
      const fields = `<input type="hidden" name="_next" value="${site.url}/done">`;
      await using other = await openSite({
        '/': contactPage(server.url, { fields }).replace(/<script.*<\/script>/, ''),
        '/shop': contactPage(server.url)
          .replace('/api/messages', '/f/shop')
          .replace(/<script.*<\/script>/, ''),
      });
      await db.query(
        `insert into forms (id, slug, redirect_url) values (gen_random_uuid(), 'shop', $1)
          on conflict (slug) do update set redirect_url = excluded.redirect_url`,
        [`${site.url}/shop-done`],
      );
      for (const [index, [path, goal]] of [
        ['/', '/done'],
        ['/shop', '/shop-done'],
      ].entries()) {
        await using watched = await openPage(browser());
        await watched.page.goto(other.url + path);
        await fillAndSend(watched.page);
        expect(await watched.page.textContent('h1')).to.equal('One more step');
        await watched.page.click('form button');
        await watched.page.waitForURL((url) => url.origin === site.url && url.pathname === goal);
        expect(await db.count('messages')).to.equal(index + 1);
        expect(watched.faults).to.deep.equal([]);
      }
    });
  });
});
