import { readFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { buffer as readBuffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import { minify } from 'terser';
import { readConfig } from '../../src/config/read-config.ts';
import de from '../../src/languages/de.json' with { type: 'json' };
import en from '../../src/languages/en.json' with { type: 'json' };
import { Problem } from '../../src/problems.ts';
import { describeProblem, problemKinds } from '../../src/server/http/problem-details.ts';
import { openPages, type RefusedPost } from '../../src/server/pages/pages.ts';
import { scriptSettings } from '../../src/server/pages/script-settings.ts';
import { labelOf } from '../../src/services/forms/fields.ts';
import { languages } from '../../src/words.ts';
import { browserAccept, type Client } from '../support/api.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi, type ServerHere } from '../support/server-here.ts';

const refusedPost: RefusedPost = {
  posted: new Map([
    ['email', 'ada@example.test'],
    ['message', 'Hi'],
    ['topic', 'x'],
  ]),
  isPost: true,
  language: 'en',
  label: labelOf,
  wait: 0,
  closedText: undefined,
  hidesOrigin: false,
  form: 'The <shop>',
  action: '/base/api/messages',
  fromKnownPage: true,
  next: undefined,
  captcha: undefined,
};

const source = new URL('../../src/server/pages/assets/form.js', import.meta.url);

describe('pages and scripts', () => {
  let api: Api;
  let db: TestDatabase;
  let server: ServerHere;
  let http: Client;

  before(async () => {
    api = await openApi({ PUBLIC_URL: 'http://localhost:8080/base/' });
    ({ db, server, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });

  const page = (path: string) => http.get(path, { Accept: browserAccept });
  const postForm = (fields: string | Record<string, string>) =>
    http.send('/api/messages', {
      method: 'POST',
      headers: { Accept: browserAccept },
      body: new URLSearchParams(fields),
    });

  it('/form.css may be loaded by any page', async () => {
    const { status, headers, text } = await http.get('/form.css');
    expect([status, headers.get('content-type')]).to.deep.equal([200, 'text/css; charset=utf-8']);
    expect(headers.get('cross-origin-resource-policy')).to.equal('cross-origin');
    expect(text).to.include('.ruffinweb-fault').and.include('data-ruffinweb-status').and.not.include('url(');
  });

  describe('/form.js', () => {
    it('has less than 6 KB and 600 bytes a language, and may be loaded by any page', async () => {
      const { status, headers, text } = await http.get('/form.js');
      expect(status).to.equal(200);
      expect(Buffer.byteLength(text)).to.be.below(6 * 1024 + languages.length * 600);
      expect(Number(headers.get('content-length'))).to.be.below(Buffer.byteLength(text) / 1.9);
      expect(headers.get('content-type')).to.equal('text/javascript; charset=utf-8');
      expect(headers.get('cross-origin-resource-policy')).to.equal('cross-origin');
      expect(headers.get('access-control-allow-origin')).to.equal('*');
      expect(headers.get('x-content-type-options')).to.equal('nosniff');
    });

    it('is cached for minutes, then revalidated by its ETag', async () => {
      const { headers } = await http.get('/form.js');
      expect(headers.get('cache-control')).to.equal('public, max-age=300');
      const tag = headers.get('etag') ?? '';
      expect(tag).to.match(/^"[\w-]{22}"$/);
      // Like a browser; fetch with its own ETag would ask for no cached answer.
      const statusFor = (given: string) =>
        new Promise((resolve) => {
          get(`${server.url}/form.js`, { headers: { 'If-None-Match': given } }, (answer) => {
            answer.resume();
            resolve(answer.statusCode);
          });
        });
      expect([await statusFor(tag), await statusFor('"other"')]).to.deep.equal([304, 200]);
    });

    it('is the current output of "npm run shrink"', async () => {
      const options = JSON.parse(await readFile(new URL('../../terser.json', import.meta.url), 'utf8'));
      const { code } = await minify(await readFile(source, 'utf8'), options);
      const served = (await http.get('/form.js')).text.trim();
      const sentences = /(?<==)\["en",\{.*?\}\}\]/.exec(served)?.[0] ?? '';
      expect(served.replace(sentences, 'RUFFINWEB_LANGUAGES')).to.equal(code?.trim());
      expect(JSON.parse(sentences)).to.deep.equal([
        'en',
        {
          en: { ...en.script, language: 'en' },
          de: { ...de.script, language: 'de' },
        },
      ]);
    });

    it('does nothing that a strict Content-Security-Policy forbids', async () => {
      expect(await readFile(source, 'utf8')).to.not.match(
        /eval\(|new Function|innerHTML|outerHTML|\.style\b|cssText|import\(/,
      );
    });

    it('has all its settings in the reference, and no others', async () => {
      const code = await readFile(source, 'utf8');
      const texts = [...code.matchAll(/text\((?:form|field), '([a-z-]+)'/g)].map((it) => `data-${it[1]}`);
      const attributes = [...code.matchAll(/'(data-[a-z-]+)'/g)].map((it) => it[1]);
      const used = new Set([
        ...texts,
        ...attributes,
        'action',
        'lang',
        ...['missing', 'too-long'].map((it) => `data-${it}`),
      ]);
      expect(scriptSettings.flatMap((it) => it.names).toSorted()).to.deep.equal([...used].toSorted());
    });
  });

  it('serves the pages’ own files to this origin only', async () => {
    for (const [path, type] of [
      ['/style.css', 'text/css; charset=utf-8'],
      ['/page.js', 'text/javascript; charset=utf-8'],
      ['/icon.svg', 'image/svg+xml'],
    ]) {
      const { status, headers } = await http.get(path ?? '');
      expect([status, headers.get('content-type')]).to.deep.equal([200, type]);
      expect(headers.get('cross-origin-resource-policy')).to.equal('same-origin');
      expect(headers.get('access-control-allow-origin')).to.equal(null);
    }
  });

  it('sends everything static compressed or plain, and 304 for its ETag', async () => {
    const ask = async (path: string, headers: Record<string, string>) => {
      const answer = await new Promise<IncomingMessage>((resolve) => {
        get(server.url + path, { headers }, resolve);
      });
      return { status: answer.statusCode, headers: answer.headers, body: await readBuffer(answer) };
    };
    for (const path of [
      '/',
      '/docs',
      '/openapi.json',
      '/form.js',
      '/form.css',
      '/page.js',
      '/style.css',
      '/icon.svg',
    ]) {
      const plain = await ask(path, {});
      const packed = await ask(path, { 'Accept-Encoding': 'br, gzip' });
      expect([packed.headers['content-encoding'], plain.headers['content-encoding']]).to.deep.equal([
        'gzip',
        undefined,
      ]);
      expect(gunzipSync(packed.body).equals(plain.body), path).to.equal(true);
      expect(packed.headers.etag).to.not.equal(plain.headers.etag);
      for (const { headers, body } of [plain, packed]) {
        expect(headers.vary).to.include('Accept-Encoding');
        expect(headers['content-length']).to.equal(String(body.length));
        expect(headers['cache-control']).to.not.equal('no-store');
        const again = await ask(path, { 'Accept-Encoding': 'gzip', 'If-None-Match': `"x", W/${headers.etag}` });
        expect([again.status, again.body.length, again.headers.etag]).to.deep.equal([304, 0, headers.etag]);
        expect(again.headers['content-security-policy']).to.equal(headers['content-security-policy']);
        expect((await ask(path, { 'If-None-Match': '"x"' })).status).to.equal(200);
      }
    }
  });

  it('has pages without inline or foreign content, and links under PUBLIC_URL', async () => {
    const pages = [
      await page('/'),
      await page('/docs'),
      await page('/thanks?receipt=RW-7Q2M4XK9TB'),
      await page('/nowhere'),
      await postForm({ email: 'ada', message: '' }),
    ];
    for (const { text, headers } of pages) {
      expect(headers.get('content-type')).to.equal('text/html; charset=utf-8');
      expect(headers.get('content-security-policy')).to.include("script-src 'self'").and.not.include('unsafe');
      // Examples are escaped, so a tag or an attribute found here is real.
      expect(text).to.not.match(/<script(?! src="\/base\/)|<style|<[^>]+ (?:style|on\w+)=/);
      for (const [, address] of text.matchAll(/<[^>]+ (?:href|src|action)="([^"]*)"/g)) {
        expect(address).to.match(/^(?:\/base\/|#)/);
      }
    }
  });

  it('answers HEAD like GET, and other methods with Allow', async () => {
    const head = await http.send('/docs', { method: 'HEAD' });
    expect([head.status, head.text]).to.deep.equal([200, '']);
    const post = await http.send('/docs', { method: 'POST' });
    expect([post.status, post.headers.get('allow')]).to.deep.equal([405, 'HEAD, GET']);
  });

  it('has a landing page with a live form and examples with its own address', async () => {
    const { text } = await page('/');
    expect(text).to.match(/<form [^>]*action="\/base\/api\/messages" data-ruffinweb/);
    for (const example of ['HTML example', 'fetch example', 'React example', 'curl example']) {
      expect(text).to.include(`aria-label="${example}"`);
    }
    expect(text.match(/http:\/\/localhost:8080\/base\/api\/messages/g)).to.have.lengthOf(4);
    expect(text).to.include('http://localhost:8080/base/form.js');
  });

  it('has examples that include the captcha if one is required', () => {
    const landing = (settings: Record<string, string>) => openPages(readConfig(settings)).landing;
    const plain = landing({});
    expect(plain).to.not.match(/altcha-lib|captcha-required|put the widget|data-sitekey/);
    const own = landing({ CAPTCHA: 'altcha', PUBLIC_URL: 'http://localhost:8080/base' });
    expect(own.match(/altcha-lib\/algorithms/g), 'fetch and React').to.have.lengthOf(2);
    expect(own.match(/http:\/\/localhost:8080\/base\/api\/captcha/g)).to.have.lengthOf(2);
    expect(own).to.include('This form really posts').and.include('captcha-required');
    const hosted = landing({ CAPTCHA: 'turnstile', CAPTCHA_SECRET: 's', CAPTCHA_SITE_KEY: 'k' });
    expect(hosted.match(/put the widget of turnstile here/g), 'React').to.have.lengthOf(1);
    expect(hosted.match(/cf-turnstile/g), 'HTML and fetch').to.have.lengthOf(2);
    expect(hosted.match(/turnstile\/v0\/api.js/g)).to.have.lengthOf(2);
    expect(hosted).to.include('captcha-required');
    expect(hosted).to.not.include('This form really posts').and.not.include('altcha-lib');
    for (const text of [plain, own, hosted]) expect(text).to.not.include('Idempotency-Key');
  });

  it('lists every address of openapi.json and every problem code in the reference', async () => {
    const { text } = await page('/docs');
    const api = (await http.get('/openapi.json')).json;
    for (const path of Object.keys(api.paths)) expect(text).to.include(`<code>${path}</code>`);
    for (const { code, status } of problemKinds) {
      expect(text).to.include(`<td>${status}</td><th scope="row"><code>${code}</code>`);
    }
  });

  describe('/thanks', () => {
    it('shows a valid receipt and nothing else', async () => {
      expect((await page('/thanks?receipt=RW-7Q2M4XK9TB')).text).to.include('RW-7Q2M4XK9TB');
      for (const query of ['', '?receipt=', '?receipt=<b>x</b>', '?receipt=a&receipt=b']) {
        const { status, text } = await page(`/thanks${query}`);
        expect(status).to.equal(200);
        expect(text).to.include('Thank you').and.not.include('Your reference');
      }
    });

    it('links back to the site that the visitor came from, by origin only', async () => {
      const from = async (referer: string) =>
        (await http.get('/thanks', { Accept: browserAccept, Referer: referer })).text;
      expect(await from('https://shop.example/contact?token=1')).to.include(
        '<a href="https://shop.example/">Back to shop.example</a>',
      );
      expect(await from('javascript:alert(1)')).to.not.include('Back to');
      expect(await from('https://shop.example"><b>')).to.not.include('<b>');
    });
  });

  describe('correction page', () => {
    it('shows errors in an alert, focuses the first, and posts under PUBLIC_URL', async () => {
      const { text } = await postForm({ name: 'Ada', email: 'ada@', message: '' });
      expect(text).to.include('action="/base/api/messages"').and.include('role="alert"');
      expect(text).to.include('<li><a href="#field-2">E-mail must be a single e-mail address');
      expect(text).to.include('<li><a href="#field-3">Message is required</a></li>');
      expect(text.match(/autofocus/g)).to.have.lengthOf(1);
      expect(text).to.match(
        /<input id="field-2" name="email"[^>]* aria-invalid="true" aria-describedby="fault-2" autofocus>/,
      );
      expect(text).to.include('value="Ada"').and.include('Form: Contact');
    });

    it('keeps text sent under another name, repeated, or over several lines', async () => {
      const { text } = await postForm(
        'first_name=Ada&_replyto=ada%40&message=Hi&_next=%2Fa&topic=one&topic=two&long=' +
          encodeURIComponent(`a\nb${'c'.repeat(2000)}`),
      );
      expect(text)
        .to.match(/name="name" type="text" value="Ada"/)
        .and.to.match(/name="email" type="email" value="ada@"/);
      expect(text).to.not.match(/name="first_name"|name="_replyto"/);
      expect(text).to.include('<input type="hidden" name="_next" value="/a">');
      for (const topic of ['one', 'two']) expect(text).to.include(`type="hidden" name="topic" value="${topic}"`);
      expect(text).to.match(/<textarea [^>]*name="long"[^>]*>\r?\na\nbccc/);
    });

    describe('for an unsolved captcha', () => {
      const refused = (captcha: string) =>
        openPages(readConfig({ PUBLIC_URL: 'http://localhost:8080/base' })).problem(
          describeProblem(new Problem('captcha-required', 'this form asks for a solved captcha'), 'id'),
          {
            ...refusedPost,
            captcha,
          },
        );

      it('lets the browser solve it if it is our own', () => {
        const text = refused('altcha');
        expect(text).to.include(
          'action="/base/api/messages" novalidate data-ruffinweb data-captcha data-redirect="/base/thanks"',
        );
        expect(text).to.include('<script src="/base/form.js" defer>').and.include('<noscript>');
        expect(text).to.include('value="ada@example.test"').and.include('name="topic" value="x"');
        expect(text).to.include('Form: The &lt;shop&gt;').and.include('class="summary neutral"');
      });

      it('sends the visitor back to the form if only a widget there can solve it', () => {
        const text = refused('turnstile');
        expect(text).to.include('go back to the form').and.not.include('<form');
        expect(text).to.include('<h1>One more step</h1>').and.include('Form: The &lt;shop&gt;');
      });
    });
  });

  it('has words for visitors where a program gets a problem', async () => {
    await db.query(
      `insert into forms (id, slug, name, closed_at) values (gen_random_uuid(), 'old-shop', 'Old <b>', now())`,
    );
    const takesForms = 'This address is for forms and programs.';
    const tellOwner = 'Nothing was sent. Please tell the site’s owner another way.';
    const typed = /<dt>E-mail<\/dt>\s*<dd>ada@example.test<\/dd>/;
    const cases: [method: string, path: string, status: number, ...words: (string | RegExp)[]][] = [
      ['GET', '/api/messages', 401, '<h1>There is no page here</h1>', takesForms],
      ['GET', '/api/forms/shop/messages', 405, takesForms],
      ['GET', '/f/shop', 405, takesForms],
      ['GET', '/api/sender', 405, takesForms],
      ['POST', '/api/captcha', 405, '<h1>This form does not work</h1>', tellOwner],
      ['POST', '/thanks', 405, tellOwner],
      ['POST', '/nowhere', 404, 'an address that does not exist', tellOwner],
      ['GET', '/nowhere', 404, '<h1>Nothing here</h1>'],
      ['POST', '/f/nothing', 404, 'does not exist', tellOwner, typed],
      ['POST', '/f/old-shop', 410, '<h1>This form is closed</h1>', tellOwner, typed, 'Form: Old &lt;b&gt;'],
      ['GET', '/unsubscribe?token=x', 400, '<h1>This link does not work</h1>', 'open it from the mail again'],
      ['POST', '/unsubscribe', 400, '<h1>This link does not work</h1>', 'open it from the mail again'],
    ];
    for (const [method, path, status, ...words] of cases) {
      const ask = (accept: string) =>
        http.send(path, {
          method,
          headers: { Accept: accept },
          ...(method === 'POST' && { body: new URLSearchParams({ email: 'ada@example.test', message: 'Hi' }) }),
        });
      const shown = await ask(browserAccept);
      expect(shown.status, path).to.equal(status);
      for (const it of words) expect(shown.text, path).to.match(typeof it === 'string' ? new RegExp(it) : it);
      expect((await ask('application/json')).headers.get('content-type'), path).to.match(/^application\/.*json/);
    }
    const unreadable = await http.send('/api/messages', {
      method: 'POST',
      headers: { Accept: browserAccept, 'Content-Type': 'multipart/form-data' },
      body: 'x',
    });
    expect(unreadable.text).to.include('<h1>This form does not work</h1>').and.include(tellOwner);
    const long = await postForm({ email: 'ada@example.test', message: 'x'.repeat(70_000) });
    expect(long.text).to.include('<h1>Your message is too long</h1>').and.include('shorten it');
  });

  it('shows one page for our own errors, which sends the same text again', async () => {
    await db.query('alter table forms rename column slug to slug_away');
    try {
      const { status, text } = await postForm('email=ada%40example.test&message=Hi%0Athere&topic=a&topic=b');
      expect(status).to.equal(500);
      expect(text).to.include('That did not work').and.include('action="/base/api/messages"');
      expect(text).to.include('name="message" value="Hi\nthere"');
      expect(text).to.include('name="topic" value="a"').and.include('name="topic" value="b"');
    } finally {
      await db.query('alter table forms rename column slug_away to slug');
    }
  });

  describe('in German', () => {
    const ada = { email: 'ada@example.test', message: 'Hallo' };
    const usual = 'RW-7Q2M4XK9TB';
    // Of English sentences that none of these pages may have.
    const englishTexts = textsOf([en.pages, en.problems]).flatMap((it) =>
      it.split(/\{\w+\}/).map((part) => part.trim()),
    );
    const leftovers = (html: string) =>
      englishTexts.filter(
        (it) => it.length > 8 && !textsOf([de]).some((own) => own.includes(it)) && html.includes(escaped(it)),
      );
    const send = (path: string, fields: Record<string, string>, accept = browserAccept) =>
      http.send(path, { method: 'POST', headers: { Accept: accept }, body: new URLSearchParams(fields) });

    before(async () => {
      await db.query(`insert into forms (id, slug, name, language, captcha, words, closed_at) values
        (gen_random_uuid(), 'laden', 'Der <Laden>', 'de', null, null, null),
        (gen_random_uuid(), 'zu', 'Zu', 'de', null, null, now()),
        (gen_random_uuid(), 'robot', null, 'de', 'altcha', null, null),
        (gen_random_uuid(), 'hosted', null, 'de', 'turnstile', null, null),
        (gen_random_uuid(), 'seite', null, 'auto', null, null, null),
        (gen_random_uuid(), 'worte', 'Fest <&>', 'auto', null, '${JSON.stringify({
          thanksHeading: { de: 'Danke, {form}!', en: 'Thanks, {form}!' },
          thanksText: 'Erste <b>Zeile</b>\n{receipt} von {site} für {name}',
        })}', null)`);
    });

    it('thanks, with the form and the language in the address only where needed', async () => {
      const plain = await send('/api/messages', ada);
      expect(plain.headers.get('location')).to.match(/^\/base\/thanks\?receipt=RW-\w{10}$/);
      const fixed = await send('/api/forms/laden/messages', ada);
      expect(fixed.headers.get('location')).to.match(/^\/base\/thanks\?receipt=RW-\w{10}&form=laden$/);
      const english = await send('/f/seite', { ...ada, _language: 'xx' });
      expect(english.headers.get('location')).to.match(/&form=seite&language=en$/);
      const follows = await send('/f/seite', { ...ada, message: 'Hallo noch einmal', _language: 'de-AT' });
      expect(follows.headers.get('location')).to.match(/&form=seite&language=de$/);
      for (const { headers } of [fixed, follows]) {
        const { text } = await page((headers.get('location') ?? '').replace('/base', ''));
        expect(text)
          .to.include('<html lang="de">')
          .and.include('<h1>Vielen Dank</h1>')
          .and.include('Ihre Vorgangsnummer');
        expect(leftovers(text)).to.deep.equal([]);
      }
    });

    it('thanks in the words of the form, with everything escaped', async () => {
      const { text } = await page(`/thanks?receipt=${usual}&form=worte&language=de`);
      expect(text)
        .to.include('<h1>Danke, Fest &lt;&amp;&gt;!</h1>')
        .and.include('<title>Danke, Fest &lt;&amp;&gt;!</title>');
      expect(text).to.include(
        `<p class="lines">Erste &lt;b&gt;Zeile&lt;/b&gt;\n${usual} von localhost:8080 für {name}</p>`,
      );
      expect((await page('/thanks?form=worte&language=fr')).text).to.include('<h1>Thanks, Fest &lt;&amp;&gt;!</h1>');
      for (const slug of ['nirgends', '', '<b>', 'x'.repeat(2000), '%00', 'worte&form=worte', '__proto__']) {
        const { status, text } = await page(`/thanks?receipt=${usual}&form=${slug}&language=de`);
        expect([status, text.includes('<h1>Thank you</h1>')], slug).to.deep.equal([200, true]);
      }
    });

    it('thanks while the form cannot be read', async () => {
      await db.query('alter table forms rename column slug to slug_away');
      try {
        const { status, text } = await page(`/thanks?receipt=${usual}&form=laden`);
        expect([status, text.includes(usual), text.includes('<h1>Vielen Dank</h1>')]).to.deep.equal([200, true, true]);
      } finally {
        await db.query('alter table forms rename column slug_away to slug');
      }
    });

    it('has no English sentence on a page about a refusal', async () => {
      const own = { Accept: browserAccept };
      const refused: Record<string, Promise<{ text: string }>> = {
        correct: send('/f/laden', { name: 'Ada', message: '', subject: 'x\ny' }),
        robots: send('/f/robot', ada),
        'captcha elsewhere': send('/f/hosted', ada),
        closed: send('/f/zu', ada),
        'follows the page': send('/f/seite', { _language: 'de' }),
        'many values': send('/f/laden', Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`a${i}`, 'b']))),
        long: send('/f/laden', { ...ada, message: 'x'.repeat(70_000) }),
        foreign: http.send('/f/laden', {
          method: 'POST',
          headers: { ...own, Origin: 'https://evil.test' },
          body: new URLSearchParams(ada),
        }),
        hidden: http.send('/f/laden', {
          method: 'POST',
          headers: { ...own, Origin: 'null' },
          body: new URLSearchParams(ada),
        }),
        type: http.send('/f/laden', { method: 'POST', headers: { ...own, 'Content-Type': 'text/plain' }, body: 'x' }),
      };
      expect((await refused['robots'])?.text).to.include('data-redirect="/base/thanks?form=robot"');
      for (const [name, answer] of Object.entries(refused)) {
        const { text } = await answer;
        expect(text, name).to.include('<html lang="de">');
        expect(leftovers(text), name).to.deep.equal([]);
      }
      const { text } = await send('/f/laden', { name: 'Ada', message: '', subject: 'x\ny' });
      expect(text)
        .to.include('Formular: Der &lt;Laden&gt;')
        .and.include('>Nachricht</label>')
        .and.include('>Betreff</label>');
    });

    it('has words for every refusal in the language of the server', () => {
      const pages = openPages(readConfig({ LANGUAGE: 'de', PUBLIC_URL: 'http://localhost:8080/base' }));
      for (const { code } of problemKinds) {
        for (const isPost of [true, false]) {
          const text = pages.problem(describeProblem(new Problem(code, 'englisch'), 'id'), {
            ...refusedPost,
            isPost,
            language: 'de',
            posted: undefined,
          });
          expect(text, code)
            .to.include('<html lang="de">')
            .and.not.include('englisch')
            .and.not.match(/\{\w+\}/);
          expect(leftovers(text), code).to.deep.equal([]);
        }
      }
    });

    it('tells programs what a visitor may read, and stays English for them', async () => {
      const { json } = await send('/api/forms/zu/messages', ada, 'application/json');
      expect(json).to.include({ title: 'This form is closed', detail: 'this form is closed' });
      expect(json.visitor).to.deep.equal({
        language: 'de',
        text: `${de.problems['form-closed'].heading}. ${de.problems['form-closed'].text}`,
      });
      expect((await send('/f/zu', ada, 'application/json')).json.errors[0].message).to.equal(json.visitor.text);
      expect((await http.post('/f/laden', {})).json.errors[0].message).to.equal('Das Formular ist leer.');
      await db.query(`update forms set language = 'de' where slug = 'contact'`);
      try {
        const { json: fields } = await http.post('/api/message/', { email: 'ada@' });
        expect(fields.message).to.deep.equal(['Bitte füllen Sie dieses Feld aus.']);
        expect(fields.email).to.deep.equal(['Bitte geben Sie eine gültige E-Mail-Adresse ein.']);
      } finally {
        await db.query(`update forms set language = null where slug = 'contact'`);
      }
    });
  });
});

function textsOf(value: unknown): string[] {
  return typeof value === 'string' ? [value] : Object.values(value as object).flatMap(textsOf);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll("'", '&#39;').replaceAll('"', '&#34;');
}
