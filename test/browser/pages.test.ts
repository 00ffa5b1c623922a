import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { unsubscribeToken } from '../../src/services/senders/suppressions.ts';
import { signReleaseLink } from '../../src/services/signed-links.ts';
import { describeInBrowser, openPage } from '../support/browser.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';
import { type ServerHere, startServerHere } from '../support/server-here.ts';

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

  describe('in German, on a phone', () => {
    let german: ServerHere;

    before(async () => {
      german = await startServerHere({ DATABASE_URL: db.url, LANGUAGE: 'de' });
      const fields = [
        { name: 'guests', type: 'number', label: 'Gäste', max: 8 },
        { name: 'dish', type: 'choice', label: 'Hauptgericht', choices: ['Fisch', 'Reis'] },
        { name: 'days', type: 'choices', label: 'Tage', choices: ['Freitag', 'Samstag', 'Sonntag'], max: 2 },
        { name: 'terms', type: 'checkbox', label: 'Datenschutzerklärung gelesen', required: true },
        { name: 'badge', type: 'text', label: 'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichennummer' },
      ];
      await db.query(`insert into forms (id, slug, name, fields)
        values (gen_random_uuid(), 'gast', 'Sommerfest', '${JSON.stringify(fields)}')`);
      await db.query(`insert into forms (id, slug, name, captcha, words, closed_at) values
        (gen_random_uuid(), 'robot', 'Kontakt', 'altcha', null, null),
        (gen_random_uuid(), 'zu', 'Weihnachtsfeier 2026', null, null, now()),
        (gen_random_uuid(), 'fest', 'Sommerfest', null, '${JSON.stringify({
          thanksHeading: 'Bis bald beim {form}!',
          thanksText:
            'Ihre Anmeldung {receipt} ist da.\nEinlass ist ab 18 Uhr, das Programm beginnt um 19 Uhr.\n\nDonaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen bringen Sie bitte mit.',
        })}', null)`);
    });
    after(async () => {
      await german[Symbol.asyncDispose]();
    });

    const visit = (path: string) => async (page: Page) => {
      await page.goto(german.url + path);
    };
    const post = (action: string, fields: Record<string, string>) => async (page: Page) => {
      await page.goto(`${german.url}/thanks`);
      await page.evaluate(`{
        const form = document.createElement('form');
        Object.assign(form, { method: 'post', action: '${action}', hidden: true });
        for (const [name, value] of Object.entries(${JSON.stringify(fields)})) {
          const field = document.createElement('textarea');
          Object.assign(field, { name, value });
          form.append(field);
        }
        document.body.append(form);
        form.submit();
      }`);
      await page.waitForURL((it) => it.pathname !== '/thanks');
    };
    const ada = { email: 'ada@example.test', message: 'Hallo' };
    const germanPages: Record<string, (page: Page) => Promise<void>> = {
      thanks: visit('/thanks?receipt=RW-7Q2M4XK9TB'),
      'thanks-own-words': visit('/thanks?receipt=RW-7Q2M4XK9TB&form=fest'),
      'not-found': visit('/nirgends'),
      'no-page': visit('/api/messages'),
      'wrong-link': visit('/unsubscribe?token=x'),
      correction: post('/api/messages', { name: 'Ada', email: 'ada@', subject: 'x\ny', message: '' }),
      'correction-of-declared-fields': async (page) => {
        await post('/f/gast', { guests: 'zwei', dish: 'Pizza', days: 'Montag', badge: 'x'.repeat(90) })(page);
        const { width = 0 } = (await page.locator('[type=checkbox]').boundingBox()) ?? {};
        expect(width, 'of the box').to.be.within(16, 32);
      },
      robots: post('/api/forms/robot/messages', ada),
      closed: post('/f/zu', ada),
      'unknown-form': post('/f/nirgends', ada),
      'too-long': post('/api/messages', { ...ada, message: 'x'.repeat(70_000) }),
      'origin-refused': async (page) => {
        await page.setExtraHTTPHeaders({ Origin: 'null' });
        await post('/api/messages', ada)(page);
      },
      'our-fault': async (page) => {
        await db.query('alter table messages rename column content to content_away');
        await post('/api/messages', { ...ada, message: 'Noch einmal' })(page);
        await db.query('alter table messages rename column content_away to content');
      },
      unsubscribe: async (page) => {
        await using context = await openTestContext(db);
        await page.goto(`${german.url}/unsubscribe?token=${unsubscribeToken(context.keyring, 'ada@example.test')}`);
      },
      unsubscribed: async (page) => {
        await germanPages.unsubscribe?.(page);
        await page.click('button');
        await page.waitForSelector('h1:has-text("Erledigt")');
      },
      release: async (page) => {
        await using context = await openTestContext(db);
        const [stored] = await buildMessages(context, 1, () => ({ _gotcha: 'x' }));
        const link = { message: stored?.id ?? '', heldSince: stored?.receivedAt.getTime() ?? 0 };
        const token = signReleaseLink(context.keyring, { ...link, endsAt: Date.now() + 1e9 });
        await page.goto(`${german.url}/release?token=${token}`);
      },
      released: async (page) => {
        await germanPages.release?.(page);
        await page.click('button');
        await page.waitForSelector('h1:has-text("Zugestellt")');
      },
    };
    for (const [name, show] of Object.entries(germanPages)) {
      it(`fits the window and has no English sentence: ${name}`, async () => {
        await using watched = await openPage(browser(), { viewport: sizes.phone });
        const { page } = watched;
        await show(page);
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          await page.screenshot({ path: join(folder, `de-${name}-${colorScheme}.png`), fullPage: true });
          expect(await seriousFaults(page)).to.deep.equal([]);
          expect(await page.evaluate('document.documentElement.scrollWidth')).to.equal(sizes.phone.width);
        }
        expect(await page.getAttribute('html', 'lang')).to.equal('de');
        // What is wrong with a field is tested with the fields.
        await page.evaluate(`for (const it of document.querySelectorAll('li, .fault')) it.remove()`);
        const shown = `${await page.title()} ${await page.textContent('main')}`;
        expect(shown)
          .to.not.match(/\b(the|is|your|please|this|must|not|message|field)\b/i)
          .and.not.match(/[{}]/);
      });
    }
  });

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
