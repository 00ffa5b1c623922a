import { expect } from 'chai';
import type { Browser, Page, Request } from 'playwright-core';
import { showMessage } from '../../src/services/messages/messages.ts';
import { openScope } from '../../src/services/scope.ts';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';
import { startServerHere } from '../support/server-here.ts';
import { contactPage, openSite } from '../support/static-site.ts';
import { until } from '../support/until.ts';

const receipt = /RW-[0-9A-HJKMNP-TV-Z]{10}/;

describeInBrowser('a form', (browser) => {
  let db: TestDatabase;
  let server: RunningServer;

  before(async () => {
    db = await createDatabase();
    server = await RunningServer.start({ DATABASE_URL: db.url, RATE_LIMIT: 'off' }, ['serve', '--no-deliver']);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  async function fill(page: Page, email = 'ada@example.test', message = 'Hello there'): Promise<void> {
    await page.fill('[name=email]', email);
    await page.fill('[name=message]', message);
  }
  const send = (page: Page) => page.click('form button:not([type=button])');
  const isIn = (page: Page, state: string) => page.waitForSelector(`form[data-ruffinweb="${state}"]`);
  const status = (page: Page) => page.textContent('[data-ruffinweb-status]');
  const focused = (page: Page) => page.evaluate('document.activeElement.getAttribute("name")');

  /** The landing page, and every post that it makes. */
  async function openLanding(of: Browser) {
    const watched = await openPage(of);
    await watched.page.goto(server.url);
    return { ...watched, posts: postsOf(watched.page) };
  }

  it('posts from a Latin-1 page with _charset_, and every character arrives', async () => {
    const page = (
      enctype: string,
    ) => `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Contact</title>
<form method="post" action="${server.url}/api/messages" enctype="${enctype}">
<input type="hidden" name="_charset_"><input name="email"><textarea name="message"></textarea>
<input name="gr&#246;&#223;e" value="L"><button>Send</button></form></html>`;
    const pages = { '/a': page('application/x-www-form-urlencoded'), '/b': page('multipart/form-data') };
    await using site = await openSite(pages, { 'Content-Type': 'text/html; charset=iso-8859-1' });
    await using context = await openTestContext(db);
    for (const path of Object.keys(pages)) {
      await db.empty();
      await using watched = await openPage(browser());
      await watched.page.goto(site.url + path);
      await fill(watched.page, 'ada@example.test', '5 € für 你好 😀');
      await send(watched.page);
      await watched.page.waitForURL(/thanks/);
      const { message, extra } = await showMessage(openScope(context), 'latest');
      expect({ message, extra }, path).to.deep.equal({ message: '5 € für 你好 😀', extra: { größe: 'L' } });
    }
  });

  it('posts from another site’s page whose script adds headers (htmx)', async () => {
    await using site = await openSite({ '/': contactPage(server.url) });
    await using watched = await openPage(browser());
    const { page, faults } = watched;
    await page.goto(`${site.url}/`);
    const statuses = await page.evaluate(async (address) => {
      const given = [
        { 'sentry-trace': '1-2-1', baggage: 'sentry-release=1' },
        { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
        { 'X-Requested-With': 'XMLHttpRequest' },
        { 'HX-Request': 'true', 'HX-Target': 'contact' },
      ];
      const post = async (headers: Record<string, string>, serial: number) => {
        const body = new FormData();
        body.set('email', 'ada@example.test');
        body.set('message', `Hello ${serial}`);
        return (await fetch(address, { method: 'POST', body, headers })).status;
      };
      return await Promise.all(given.map(post));
    }, `${server.url}/api/messages`);
    expect(statuses).to.deep.equal([201, 201, 201, 201]);
    expect(await db.count('messages')).to.equal(4);
    expect(faults).to.deep.equal([]);
  });

  describe('without JavaScript', () => {
    it('shows the thank-you page with the receipt', async () => {
      await using watched = await openPage(browser(), { javaScriptEnabled: false });
      const { page, faults } = watched;
      await page.goto(server.url);
      await fill(page);
      await send(page);
      expect(page.url()).to.match(/\/thanks\?receipt=RW-/);
      const [row] = await db.query<{ receipt: string }>('select receipt from messages');
      expect(await page.textContent('.receipt')).to.equal(row?.receipt);
      expect(faults).to.deep.equal([]);
    });

    it('shows errors, focuses the first, and accepts the corrected form', async () => {
      await using watched = await openPage(browser(), { javaScriptEnabled: false });
      const { page, faults } = watched;
      await page.goto(server.url);
      await fill(page, 'ada@localhost', 'Two\nlines');
      await page.fill('[name=name]', 'Ada & "Co" <x>');
      await send(page);

      expect(await page.textContent('[role=alert]')).to.include('must be a single e-mail address');
      await page.waitForSelector('[name=email]:focus');
      expect(await page.inputValue('[name=message]')).to.equal('Two\nlines');
      expect(await page.inputValue('[name=name]')).to.equal('Ada & "Co" <x>');
      await page.fill('[name=email]', 'ada@example.test');
      await send(page);
      expect(page.url()).to.include('/thanks');
      expect(await db.count('messages')).to.equal(1);
      expect(faults).to.deep.equal([]);
    });
  });

  it('stays on its page, shows "sending", then the receipt', async () => {
    await using landing = await openLanding(browser());
    const { page, faults, posts } = landing;
    const held = Promise.withResolvers<void>();
    await page.route('**/api/messages', async (route) => {
      await held.promise;
      await route.continue();
    });
    await fill(page);
    await send(page);
    await isIn(page, 'sending');
    expect(await status(page)).to.equal('Sending…');
    expect(await page.isDisabled('form button')).to.equal(true);
    held.resolve();
    await isIn(page, 'sent');

    const [row] = await db.query<{ receipt: string }>('select receipt from messages');
    expect(await status(page)).to.equal(`Thank you! Your message has arrived. Your reference is ${row?.receipt}.`);
    expect(await page.getAttribute('[data-ruffinweb-status]', 'aria-live')).to.equal('polite');
    expect(await page.inputValue('[name=message]')).to.equal('');
    expect(await page.isEnabled('form button')).to.equal(true);
    expect(page.url()).to.equal(`${server.url}/`);
    expect(posts.map((it) => it.headers()['content-type'])).to.deep.equal(['application/json']);
    expect(posts[0]?.postDataJSON(), 'what the guard looks at').to.have.property('_elapsed').that.matches(/^\d+$/);
    expect(faults).to.deep.equal([]);
  });

  it("shows the browser's own validation at the fields and posts nothing", async () => {
    await using landing = await openLanding(browser());
    const { page, faults, posts } = landing;
    await page.evaluate(`for (const it of document.forms[0].elements)
      it.addEventListener('invalid', (event) => { globalThis.bubbles = !event.defaultPrevented; });`);
    await send(page);
    expect(await page.locator('.ruffinweb-fault').count()).to.equal(2);
    expect(await page.evaluate('globalThis.bubbles'), 'shown twice').to.equal(false);
    expect(
      await page.locator('[aria-invalid]').evaluateAll((all) => all.map((it) => it.getAttribute('name'))),
    ).to.deep.equal(['email', 'message']);
    expect(await focused(page)).to.equal('email');
    expect(await status(page)).to.equal('Please correct what is marked.');
    expect(posts).to.deep.equal([]);
    expect(faults).to.deep.equal([]);
  });

  it("shows the server's error at the field until it is corrected", async () => {
    await using landing = await openLanding(browser());
    const { page, faults, posts } = landing;
    await fill(page, 'ada@localhost');
    await send(page);
    await isIn(page, 'invalid');

    const email = page.locator('[name=email]');
    expect(await email.getAttribute('aria-invalid')).to.equal('true');
    const note = await email.getAttribute('aria-describedby');
    expect(await page.textContent(`#${note}`)).to.equal('This must be a single e-mail address, like ada@example.com.');
    expect(await focused(page)).to.equal('email');
    await page.fill('[name=email]', 'ada@example.test');
    expect(await email.getAttribute('aria-invalid')).to.equal(null);
    expect(await email.getAttribute('aria-describedby')).to.equal(null);
    expect(await page.locator('.ruffinweb-fault').count()).to.equal(0);
    await send(page);
    await isIn(page, 'sent');

    const [first, second] = posts.map(keyOf);
    expect(second, 'another content is another submission').to.be.a('string').and.not.equal(first);
    expect(await db.count('messages')).to.equal(1);
    expect(faults).to.deep.equal([]);
  });

  it('stores a double click once', async () => {
    await using landing = await openLanding(browser());
    const { page, faults, posts } = landing;
    const held = Promise.withResolvers<void>();
    await page.route('**/api/messages', async (route) => {
      await held.promise;
      await route.continue();
    });
    await fill(page);
    await page.dblclick('form button');
    // Covers submits from scripts too, which a disabled button does not prevent.
    await page.evaluate('document.forms[0].requestSubmit()');
    held.resolve();
    await isIn(page, 'sent');
    expect(posts).to.have.lengthOf(1);
    expect(await db.count('messages')).to.equal(1);
    expect(faults).to.deep.equal([]);
  });

  it('uses another idempotency key for the next message', async () => {
    await using landing = await openLanding(browser());
    const { page, posts } = landing;
    for (const _ of ['once', 'and the same once more']) {
      await fill(page);
      await send(page);
      await until('the form is empty again', async () => (await page.inputValue('[name=message]')) === '');
    }
    expect(new Set(posts.map(keyOf))).to.have.lengthOf(2);
    expect(await db.count('messages')).to.equal(2);
  });

  describe('whose connection is lost', () => {
    it('before the post arrives: retries once with the same key', async () => {
      await using landing = await openLanding(browser());
      const { page, posts } = landing;
      let tries = 0;
      await page.route('**/api/messages', (route) =>
        tries++ === 0 ? route.abort('connectionreset') : route.continue(),
      );
      await fill(page);
      await send(page);
      await isIn(page, 'sent');
      expect(posts).to.have.lengthOf(2);
      expect(new Set(posts.map(keyOf))).to.have.lengthOf(1);
      expect(await db.count('messages')).to.equal(1);
    });

    it('after it was stored: one message, and its receipt', async () => {
      await using landing = await openLanding(browser());
      const { page } = landing;
      let tries = 0;
      await page.route('**/api/messages', async (route) => {
        if (tries++ > 0) return await route.continue();
        expect((await route.fetch()).status()).to.equal(201);
        await route.abort('connectionreset');
      });
      await fill(page);
      await send(page);
      await isIn(page, 'sent');
      const rows = await db.query<{ receipt: string }>('select receipt from messages');
      expect(rows).to.have.lengthOf(1);
      expect(await status(page)).to.include(rows[0]?.receipt);
    });

    it('for good: says so, keeps the text and the key, and can be sent again', async () => {
      await using landing = await openLanding(browser());
      const { page, posts } = landing;
      await page.route('**/api/messages', (route) => route.abort('connectionreset'));
      await fill(page);
      await send(page);
      await isIn(page, 'failed');
      expect(await status(page)).to.include('The connection was lost.');
      expect(await page.inputValue('[name=message]')).to.equal('Hello there');
      await page.unroute('**/api/messages');
      await send(page);
      await isIn(page, 'sent');
      expect(posts).to.have.lengthOf(3);
      expect(new Set(posts.map(keyOf))).to.have.lengthOf(1);
    });
  });

  for (const [code, wait, words] of [
    [429, '30', 'That did not work. Please try again in 30 seconds.'],
    [503, '1', 'That did not work. Please try again in 1 second.'],
    [429, '3600', 'That did not work. Please try again in 60 minutes.'],
    [503, undefined, 'That did not work. Please try again in a moment.'],
    [409, undefined, 'That did not work. Please try again in a moment.'],
  ] as const) {
    it(`says when to retry after ${code} with Retry-After ${wait}`, async () => {
      await using landing = await openLanding(browser());
      const { page, posts } = landing;
      await page.route('**/api/messages', (route) =>
        route.fulfill({
          status: code,
          json: { code: 'x' },
          headers: wait === undefined ? {} : { 'Retry-After': wait },
        }),
      );
      await fill(page);
      await send(page);
      await isIn(page, 'failed');
      expect(await status(page)).to.equal(words);
      expect(await page.inputValue('[name=message]')).to.equal('Hello there');
      expect(posts).to.have.lengthOf(1);
    });
  }

  describe('answered by something other than the server', () => {
    for (const [what, answer] of [
      ['the front page of a static host, 200', { status: 200, contentType: 'text/html', body: '<!doctype html>Home' }],
      ['200 and nothing', { status: 200, body: '' }],
      ['JSON of somebody else, 200', { status: 200, json: { status: 'ok' } }],
      ['JSON that is null, 201', { status: 201, contentType: 'application/json', body: 'null' }],
      [
        'the Django route that checks and stores nothing, 201',
        { status: 201, json: { name: 'Ada', email: 'a@b.test' } },
      ],
    ] as const) {
      it(`with ${what}: reports failure, keeps the text, can be sent again`, async () => {
        await using landing = await openLanding(browser());
        const { page, faults, posts } = landing;
        await page.route('**/api/messages', (route) => route.fulfill(answer));
        await fill(page);
        await send(page);
        await page.waitForSelector('form:is([data-ruffinweb=sent], [data-ruffinweb=failed])');
        expect(await status(page)).to.equal('That did not work: something went wrong at the server.');
        expect(await page.getAttribute('#try', 'data-ruffinweb')).to.equal('failed');
        expect(await page.inputValue('[name=message]')).to.equal('Hello there');
        await page.unroute('**/api/messages');
        await send(page);
        await isIn(page, 'sent');
        expect(new Set(posts.map(keyOf))).to.have.lengthOf(1);
        expect(await db.count('messages')).to.equal(1);
        expect(faults).to.deep.equal([]);
      });
    }
  });

  it('shows the receipt at every endpoint that stores messages', async () => {
    await using landing = await openLanding(browser());
    const { page, faults } = landing;
    const stored = ['/api/messages', '/api/forms/contact/messages', '/f/contact', '/api/message/'];
    for (const [index, action] of stored.entries()) {
      await page.goto(server.url);
      await page.evaluate(`document.forms[0].setAttribute('action', '${action}')`);
      await fill(page, 'ada@example.test', `To ${action}`);
      await send(page);
      await isIn(page, 'sent');
      expect(await status(page), action).to.include('Your message has arrived.');
      expect(await db.count('messages')).to.equal(index + 1);
    }
    expect(faults).to.deep.equal([]);
  });

  it("shows the server's message when the form is closed", async () => {
    await using landing = await openLanding(browser());
    const { page } = landing;
    const closed =
      'This form is closed. It accepts no more messages. Nothing was sent. Please tell the site’s owner another way.';
    await db.query('update forms set closed_at = now()');
    try {
      await fill(page);
      await send(page);
      await isIn(page, 'failed');
      expect(await status(page)).to.equal(closed);
      // At this address an error is listed among the field errors, without a field name.
      await page.evaluate(`document.forms[0].setAttribute('action', '/f/contact')`);
      const again = page.waitForResponse('**/f/contact');
      await send(page);
      await again;
      await isIn(page, 'failed');
      expect(await status(page)).to.equal(closed);
    } finally {
      await db.query('update forms set closed_at = null');
    }
  });

  describe('on another origin, under a strict Content-Security-Policy', () => {
    const policyFor = (url: string) => ({
      'Content-Security-Policy': `default-src 'none'; script-src ${url}; connect-src ${url}; form-action ${url}; img-src data:`,
    });

    it('posts, and shows errors and the receipt in the site’s own words', async () => {
      const words =
        'data-success="Danke! Nummer {receipt}" data-sending="Moment…" data-invalid="Bitte prüfen" data-correct="Bitte verbessern"';
      await using site = await openSite({ '/': contactPage(server.url, { form: words }) }, policyFor(server.url));
      await using watched = await openPage(browser());
      const { page, faults } = watched;
      await page.goto(site.url);
      await fill(page, 'ada@localhost');
      await send(page);
      await isIn(page, 'invalid');
      expect(await page.textContent('.ruffinweb-fault')).to.equal('Bitte prüfen');
      expect(await status(page)).to.equal('Bitte verbessern');
      await page.fill('[name=email]', 'ada@example.test');
      await send(page);
      await isIn(page, 'sent');
      expect(await status(page)).to.match(/^Danke! Nummer RW-/);
      expect(await db.count('messages')).to.equal(1);
      expect(faults).to.deep.equal([]);
    });

    it('redirects to its own page with the receipt if it asks for that', async () => {
      const form = contactPage(server.url, { form: 'data-redirect="/done?from=form"' });
      const done = '<!doctype html><link rel="icon" href="data:,"><title>Done</title>';
      await using site = await openSite({ '/': form, '/done': done }, policyFor(server.url));
      await using watched = await openPage(browser());
      const { page, faults } = watched;
      await page.goto(site.url);
      await fill(page);
      await send(page);
      await page.waitForURL('**/done?*');
      expect(page.url()).to.match(/\/done\?from=form&receipt=RW-/);
      expect(faults).to.deep.equal([]);
    });

    it('sends all ticked boxes and selected options, with and without script', async () => {
      const fields = `<label><input type="checkbox" name="colour" value="red"> red</label>
        <label><input type="checkbox" name="colour" value="green"> green</label>
        <label><input type="checkbox" name="colour" value="blue"> blue</label>
        <select name="day" multiple><option>Mon<option>Tue<option>Wed</select>`;
      await using site = await openSite({ '/': contactPage(server.url, { fields }) }, policyFor(server.url));
      await using context = await openTestContext(db);
      for (const javaScriptEnabled of [true, false]) {
        await db.empty();
        await using watched = await openPage(browser(), { javaScriptEnabled });
        const { page, faults } = watched;
        await page.goto(site.url);
        await fill(page);
        await page.check('[value=red]');
        await page.check('[value=blue]');
        await page.selectOption('[name=day]', ['Mon', 'Wed']);
        await send(page);
        await (javaScriptEnabled ? isIn(page, 'sent') : page.waitForURL('**/thanks?receipt=RW-*'));
        const stored = await showMessage(openScope(context), 'latest');
        expect(stored.extra).to.deep.equal({ colour: 'red, blue', day: 'Mon, Wed' });
        expect(faults).to.deep.equal([]);
      }
    });

    for (const policy of ['no-referrer', 'same-origin']) {
      it(`without a Referer (${policy}): posts with script; keeps the text without`, async () => {
        await using site = await openSite({ '/': contactPage(server.url) }, { 'Referrer-Policy': policy });
        await using scripted = await openPage(browser());
        await scripted.page.goto(site.url);
        await fill(scripted.page);
        await send(scripted.page);
        await isIn(scripted.page, 'sent');
        expect(await db.count('messages')).to.equal(1);

        await using plain = await openPage(browser(), { javaScriptEnabled: false });
        await plain.page.goto(site.url);
        await fill(plain.page, 'bob@example.test', 'Two\nlines of mine');
        await send(plain.page);
        expect(await plain.page.textContent('h1')).to.equal('This website may not post here');
        expect(await plain.page.textContent('.typed'))
          .to.include('Two\nlines of mine')
          .and.include('bob@example.test');
        expect(await plain.page.textContent('main')).to.include('use strict-origin-when-cross-origin, or form.js');
        expect(await db.count('messages')).to.equal(1);
      });
    }

    it('redirects to the _next or _redirect field of the form', async () => {
      const done = '<!doctype html><link rel="icon" href="data:,"><title>Done</title>';
      await using goal = await openSite({ '/done': done });
      for (const name of ['_next', '_redirect']) {
        const fields = `<input type="hidden" name="${name}" value="${goal.url}/done?${name}">`;
        await using site = await openSite({ '/': contactPage(server.url, { fields }) }, policyFor(server.url));
        await using watched = await openPage(browser());
        await watched.page.goto(site.url);
        await fill(watched.page);
        await send(watched.page);
        await watched.page.waitForURL(`${goal.url}/done?${name}=&receipt=RW-*`);
        expect(watched.faults).to.deep.equal([]);
      }
    });

    it('posts without script, shows thanks and a link back', async () => {
      await using site = await openSite({ '/': contactPage(server.url) }, policyFor(server.url));
      await using watched = await openPage(browser(), { javaScriptEnabled: false });
      const { page } = watched;
      await page.goto(site.url);
      await fill(page);
      await send(page);
      expect(await page.textContent('.receipt')).to.match(receipt);
      await page.click('text=Back to');
      expect(page.url()).to.equal(`${site.url}/`);
    });

    it('works when added to the page later, with odd field names', async () => {
      await using site = await openSite({ '/': contactPage(server.url) }, policyFor(server.url));
      await using watched = await openPage(browser());
      const { page, faults } = watched;
      await page.goto(site.url);
      await page.evaluate(`{
        const form = document.forms[0].cloneNode(true);
        for (const name of ['action', 'reset', '__proto__x', 'constructor']) {
          const field = document.createElement('input');
          field.name = name;
          field.value = 'v';
          form.append(field);
        }
        document.forms[0].replaceWith(form);
      }`);
      await fill(page);
      await send(page);
      await isIn(page, 'sent');
      expect(await db.count('messages')).to.equal(1);
      expect(faults).to.deep.equal([]);
    });
  });

  describe('in German', () => {
    const closed =
      'Dieses Formular ist geschlossen. Es nimmt keine Nachrichten mehr an. Es wurde nichts gesendet. Bitte wenden Sie sich auf anderem Weg an den Betreiber der Website.';
    const pageIn = (lang: string, url: string, options = {}) =>
      contactPage(url, options).replace('lang="en"', lang === '' ? '' : `lang="${lang}"`);

    it('follows the nearest lang and tells the server; the page’s own words win', async () => {
      await db.query(`update forms set language = 'auto'`);
      try {
        const own = `<input type="hidden" name="_language" value="de-CH">`;
        await using site = await openSite({
          '/': pageIn('de-AT', server.url),
          '/own': pageIn('en', server.url, { form: 'lang="DE" data-success="Merci {receipt}"', fields: own }),
          '/other': pageIn('fr', server.url),
        });
        await using watched = await openPage(browser());
        const { page, faults } = watched;
        const posts = postsOf(page);
        await page.goto(site.url);
        await send(page);
        expect(await status(page)).to.equal('Bitte korrigieren Sie die markierten Felder.');
        await fill(page, 'ada@localhost');
        await send(page);
        await isIn(page, 'invalid');
        expect(await page.textContent('.ruffinweb-fault')).to.equal(
          'Bitte eine einzelne E-Mail-Adresse angeben, wie ada@example.com.',
        );
        await fill(page);
        await send(page);
        await isIn(page, 'sent');
        const [row] = await db.query<{ receipt: string }>('select receipt from messages');
        expect(await status(page)).to.equal(
          `Vielen Dank! Ihre Nachricht ist eingegangen. Ihre Vorgangsnummer: ${row?.receipt}.`,
        );
        await page.goto(`${site.url}/own`);
        await fill(page, 'ada@example.test', 'Noch eine');
        await send(page);
        await isIn(page, 'sent');
        expect(await status(page)).to.match(/^Merci RW-/);
        await page.goto(`${site.url}/other`);
        await fill(page, 'ada@example.test', 'Et encore');
        await send(page);
        await isIn(page, 'sent');
        expect(await status(page)).to.match(/^Thank you!/);
        const told = posts.map((it) => it.postDataJSON()._language);
        expect(told).to.deep.equal(['de-AT', 'de-AT', 'de-CH', 'fr']);
        expect(faults).to.deep.equal([]);
      } finally {
        await db.query('update forms set language = null');
      }
    });

    it('says what went wrong, all in the language that the server answers in', async () => {
      await using german = await startServerHere({ DATABASE_URL: db.url, LANGUAGE: 'de' });
      await using site = await openSite({ '/': pageIn('', german.url), '/english': pageIn('en', german.url) });
      await using watched = await openPage(browser());
      const { page } = watched;
      const exposed = { 'Access-Control-Expose-Headers': 'Retry-After', 'Retry-After': '3600' };
      const answers = [
        [
          undefined,
          'Die Verbindung wurde unterbrochen. Ihre Eingaben sind noch da; bitte versuchen Sie es noch einmal.',
        ],
        [{ status: 429, json: {}, headers: exposed }, 'Bitte versuchen Sie es in 60 Minuten noch einmal.'],
        [{ status: 503, json: {} }, 'Bitte versuchen Sie es gleich noch einmal.'],
        [{ status: 200, body: '' }, 'Das hat nicht geklappt: Auf dem Server ist ein Fehler aufgetreten.'],
      ] as const;
      for (const [answer, words] of answers) {
        await page.goto(site.url);
        await page.route('**/api/messages', (route) =>
          answer === undefined ? route.abort('connectionreset') : route.fulfill(answer),
        );
        await fill(page);
        await send(page);
        await isIn(page, 'failed');
        expect(await status(page)).to.include(words);
        await page.unroute('**/api/messages');
      }
      await db.query('update forms set closed_at = now()');
      try {
        for (const path of ['/', '/english']) {
          await page.goto(site.url + path);
          await fill(page);
          await send(page);
          await isIn(page, 'failed');
          expect(await status(page), path).to.equal(closed);
        }
      } finally {
        await db.query('update forms set closed_at = null');
      }
    });
  });

  describe('as the landing page’s examples define it', () => {
    const example = async (page: Page, id: string) => (await page.textContent(`[data-for=${id}] code`)) ?? '';

    it('works when pasted as HTML', async () => {
      await using landing = await openLanding(browser());
      const html = localised(await example(landing.page, 'html'));
      await using site = await openSite({ '/': `<!doctype html><link rel="icon" href="data:,">${html}` });
      await landing.page.goto(site.url);
      await fill(landing.page);
      await send(landing.page);
      await isIn(landing.page, 'sent');
      expect(await db.count('messages')).to.equal(1);
      expect(landing.faults).to.deep.equal([]);
    });

    // The public address says localhost, but the page was opened by IP address.
    const localised = (code: string) => code.replaceAll(`http://localhost:${new URL(server.url).port}`, server.url);
  });
});

function postsOf(page: Page): Request[] {
  const posts: Request[] = [];
  page.on('request', (request) => {
    if (request.method() === 'POST') posts.push(request);
  });
  return posts;
}

function keyOf(request: Request): string | undefined {
  return request.headers()['idempotency-key'];
}
