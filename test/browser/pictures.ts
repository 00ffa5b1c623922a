/**
 * Makes the pictures of the README again: `npm run pictures`. The pages use the system's own font; for pictures that
 * look as on most systems, this one should have Inter (Debian: apt-get install chromium fonts-inter).
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openBrowser, openPage } from '../support/browser.ts';
import { createDatabase, startTestServer } from '../support/database.ts';
import { RunningServer, temporaryFolder } from '../support/program.ts';

const pictures = [
  { name: 'landing-light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'landing-dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 390, height: 844 } },
] as const;

/** What a desktop sets by itself and a server has not: which font is the system's. */
const fonts = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include>/etc/fonts/fonts.conf</include>
<match target="pattern"><test name="family"><string>DejaVu Sans</string></test>
<edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match></fontconfig>`;

const stop = await startTestServer();
try {
  await using db = await createDatabase();
  await using server = await RunningServer.start({ DATABASE_URL: db.url, PUBLIC_URL: 'https://forms.example.com' }, [
    'serve',
    '--no-deliver',
  ]);
  await using folder = await temporaryFolder();
  const fontsFile = join(folder.path, 'fonts.conf');
  await writeFile(fontsFile, fonts);
  await using browser = await openBrowser({ FONTCONFIG_FILE: fontsFile });
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
