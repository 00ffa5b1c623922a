/** Makes the pictures of the README anew: `npm run pictures`. They show the fonts of the machine it runs on. */
import { fileURLToPath } from 'node:url';
import { openBrowser, openPage } from '../support/browser.ts';
import { createDatabase, startTestServer } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';

const pictures = [
  { name: 'landing-light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'landing-dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 390, height: 844 } },
] as const;

const stop = await startTestServer();
try {
  await using db = await createDatabase();
  await using server = await RunningServer.start({ DATABASE_URL: db.url, PUBLIC_URL: 'https://forms.example.com' }, [
    'serve',
    '--no-deliver',
  ]);
  await using browser = await openBrowser();
  for (const { name, ...look } of pictures) {
    await using watched = await openPage(browser, look);
    const { page } = watched;
    await page.goto(server.url);
    if (name === 'phone') {
      await page.fill('[name=name]', 'Ada Lovelace');
      await page.fill('[name=email]', 'ada@localhost');
      await page.fill('[name=message]', 'Could you build me an engine?');
      await page.click('#try button');
      await page.waitForSelector('[data-ruffinweb=invalid]');
      await page.locator('#try').evaluate((form) => form.scrollIntoView({ block: 'center', behavior: 'instant' }));
    }
    const path = fileURLToPath(new URL(`../../docs/images/${name}.png`, import.meta.url));
    await page.screenshot({ path });
    console.log(path);
  }
} finally {
  await stop();
}
