import { expect } from 'chai';
import { deleteForm } from '../../src/services/forms/delete-form.ts';
import { addForm } from '../../src/services/forms/form-settings.ts';
import { checkFields } from '../../src/services/intake/check-fields.ts';
import { openScope } from '../../src/services/scope.ts';
import { browserAccept, type Client, clientOf, submission } from '../support/api.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { ruffinweb, type Settings } from '../support/program.ts';
import { type ServerHere, startServerHere } from '../support/server-here.ts';
import { runHere, withoutColours } from './terminal.ts';

const settings: Settings = { PUBLIC_URL: 'https://forms.example.test/base', NOTIFY_TO: 'owner@site.test' };

describe('forms', () => {
  let db: TestDatabase;

  beforeEach(async () => {
    db = await createDatabase();
  });
  afterEach(async () => {
    await db[Symbol.asyncDispose]();
  });

  const run = (...args: string[]) => runHere(['forms', ...args], db, { settings });
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, '--json');
    expect({ code, stderr }, args.join(' ')).to.deep.equal({ code: 0, stderr: '' });
    return JSON.parse(stdout);
  };

  it('are added with HTML to paste and nothing else on stdout', async () => {
    const { code, stdout, stderr } = await ruffinweb(
      [
        'forms',
        'add',
        'shop',
        '--to',
        'shop@site.test',
        '--require',
        'company',
        'a "<b>',
        'name',
        '--captcha',
        'altcha',
      ],
      { DATABASE_URL: db.url, ...settings },
    );
    expect(code).to.equal(0);
    expect(stderr).to.include('https://forms.example.test/base/api/forms/shop/messages').and.include('shop@site.test');
    expect(stdout).to.equal(
      [
        '<form method="post" action="https://forms.example.test/base/api/forms/shop/messages" data-ruffinweb data-captcha="https://forms.example.test/base/api/captcha?form=shop">',
        '  <label>Name <input name="name" autocomplete="name" required></label>',
        '  <label>E-mail <input name="email" type="email" autocomplete="email" required></label>',
        '  <label>Company <input name="company" autocomplete="organization" required></label>',
        '  <label>A &#34;&lt;b&gt; <input name="a &#34;&lt;b&gt;" required></label>',
        '  <label>Message <textarea name="message" required rows="5"></textarea></label>',
        '  <div hidden><label>Leave this empty <input name="_gotcha" tabindex="-1" autocomplete="off"></label></div>',
        '  <button>Send message</button>',
        '</form>',
        '<script src="https://forms.example.test/base/form.js" defer></script>',
        '',
      ].join('\n'),
    );
  });

  it('print their HTML in their language', async () => {
    await json('add', 'fest', '--language', 'de');
    for (const options of [[], ['--react']])
      expect((await run('html', 'fest', ...options)).stdout)
        .to.include('<label>Nachricht <textarea')
        .and.include('Bitte leer lassen')
        .and.include('>Nachricht absenden</button>');
  });

  it('print their HTML as it is now, with labels for people', async () => {
    await json(
      'add',
      'shop',
      '--require',
      'phone',
      'first_name',
      'postCode',
      'vatID',
      'phone-number',
      'Last name',
      'e-mail',
      'colour[]',
      '--captcha',
      'altcha',
    );
    const { code, stdout, stderr } = await run('html', 'shop');
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: `${(await json('html', 'shop')).snippet}\n` });
    expect(stderr).to.include('<link rel="stylesheet" href="https://forms.example.test/base/form.css">');
    expect([...stdout.matchAll(/<label>(.+?) <(.+?)>/g)].map(([, label, field]) => `${label}: ${field}`)).to.deep.equal(
      [
        'E-mail: input name="email" type="email" autocomplete="email" required',
        'Phone: input name="phone" type="tel" autocomplete="tel" required',
        'First name: input name="first_name" autocomplete="given-name" required',
        'Post code: input name="postCode" autocomplete="postal-code" required',
        'VatID: input name="vatID" required',
        'Phone number: input name="phone-number" type="tel" autocomplete="tel" required',
        'Last name: input name="Last name" autocomplete="family-name" required',
        'E mail: input name="e-mail" type="email" autocomplete="email" required',
        'Colour: input name="colour[]" required',
        'Message: textarea name="message" required rows="5"',
        'Leave this empty: input name="_gotcha" tabindex="-1" autocomplete="off"',
      ],
    );
    const turnstile = { ...settings, CAPTCHA: 'turnstile', CAPTCHA_SECRET: 's', CAPTCHA_SITE_KEY: 'a "key"' };
    for (const [args, words] of [
      [['html'], '<script src="https://challenges.cloudflare.com/turnstile/v0/api.js" async defer></script>'],
      [['html'], '<div class="cf-turnstile" data-sitekey="a &#34;key&#34;"></div>'],
      [['html', '--fetch'], 'turnstile/v0/api.js'],
      [['html', '--react'], '{/* put the widget of turnstile here'],
    ] as const) {
      const screen = await runHere(['forms', ...args, 'contact'], db, { settings: turnstile });
      expect(screen.code).to.equal(0);
      expect(screen.stdout).to.include(words).and.not.include('altcha');
    }
    expect(await run('html', 'shop', '--fetch', '--react')).to.include({ code: 2, stdout: '' });
    expect((await run('html', 'nothing')).code).to.equal(1);
  });

  it('say after a change that their pages must follow', async () => {
    await json('add', 'shop');
    const hint = 'Change the pages that use this form. Their new HTML: ruffinweb forms html';
    for (const [args, words] of [
      [['--require', 'phone'], `${hint} shop`],
      [['--captcha', 'altcha'], `${hint} shop`],
      [['--origin', 'https://shop.test', '--require', 'phone'], `${hint} shop`],
      [['--reset', 'captcha'], `${hint} shop`],
      [['--origin', 'https://shop.test'], `${hint} shop`],
      [['--slug', 'store'], `${hint} store`],
    ] as const) {
      expect((await run('change', 'shop', ...args)).stderr, args.join(' ')).to.include(words);
    }
    expect((await run('change', 'store', '--name', 'The store')).stderr).to.equal('');
  });

  describe('are deleted', () => {
    const confirmed = (slug: string) => run('delete', slug, '--yes');

    it('after a question, and only without messages and keys', async () => {
      await json('add', 'shop');
      await runHere(['keys', 'create', '--name', 'desk', '--scope', 'read', '--form', 'shop'], db, { settings });
      const [key] = JSON.parse((await runHere(['keys', 'list', '--json'], db, { settings })).stdout).items;
      expect((await confirmed('shop')).stderr).to.include('API keys are limited to the form "shop": desk');
      await runHere(['keys', 'revoke', key.id, '--yes'], db, { settings });
      expect(await run('delete', 'shop')).to.include({ code: 2, stderr: 'not a terminal: pass --yes' });
      const no = await runHere(['forms', 'delete', 'shop'], db, { settings, columns: 80, types: 'n\n' });
      expect(no).to.include({ code: 1, stdout: '' });
      for (const [slug, code, words] of [
        ['contact', 2, 'close it instead'],
        ['nothing', 1, 'there is no form "nothing"'],
        ['\0', 1, 'there is no form'],
      ] as const) {
        // Nobody is asked about what cannot be deleted.
        for (const screen of [await confirmed(slug), await run('delete', slug)]) {
          expect([screen.code, screen.stdout], slug).to.deep.equal([code, '']);
          expect(screen.stderr).to.include(words);
        }
      }
      expect((await json('list')).items).to.have.lengthOf(2);
      expect(await json('delete', 'shop', '--yes')).to.deep.equal({ slug: 'shop', deleted: true });
      expect((await json('list')).items).to.have.lengthOf(1);
      const [left] = JSON.parse((await runHere(['keys', 'list', '--json'], db, { settings })).stdout).items;
      expect(left.forms, 'the id of a form that is gone').to.have.lengthOf(1);
      expect((await confirmed('shop')).code, 'twice').to.equal(1);
    });

    it('not while a post is being stored; a server that remembers them answers 404', async () => {
      await using server = await startServerHere({ DATABASE_URL: db.url, ...settings });
      await using context = await openTestContext(db);
      const http = clientOf(server.url);
      const post = (text: string) => http.post('/api/forms/shop/messages', submission({ message: text }));
      await json('add', 'shop');
      // Another message of the same sender, whom a purge would delete otherwise.
      await http.post('/api/messages', submission());
      const remove = async (answer: { json: { receipt: string } }) =>
        await runHere(['messages', 'delete', answer.json.receipt, '--yes'], db, { settings });
      const first = await post('one');
      expect((await confirmed('shop')).stderr).to.include(
        'the form "shop" has a message: close it with "ruffinweb forms close", or delete',
      );
      await remove(first);
      // The post has locked the form when it waits for its sender.
      const sender = await db.lockRows('senders');
      const posted = post('two');
      await db.waitingForLocks(1);
      const deleting = deleteForm(openScope(context), 'shop').catch((error: unknown) => String(error));
      await db.waitingForLocks(2);
      await sender.release();
      expect((await posted).status).to.equal(201);
      expect(await deleting).to.include('has a message');
      await remove(await posted);
      expect(await db.query('select from notify_hours'), 'hourly counts').to.have.lengthOf(2);
      expect((await confirmed('shop')).code).to.equal(0);
      expect((await post('three')).status).to.equal(404);
      expect(await db.count('messages')).to.equal(1);
      await json('add', 'shop');
      expect((await post('four')).status).to.equal(201);
    });
  });

  it('show declared fields, and print fitting inputs for them', async () => {
    await using context = await openTestContext(db, settings);
    await addForm(openScope(context), 'rsvp', {
      fields: [
        { name: 'guest', type: 'text', label: { en: 'Your {name}', de: 'Ihr Name' }, required: true, min: 2, max: 20 },
        { name: 'seats', type: 'number', min: 1, max: 8 },
        { name: 'dish', type: 'choice', choices: ['Fish', '<{Meat}>'], required: true },
        { name: 'days', type: 'choices', choices: ['Fri', 'Sat'], max: 1 },
        { name: 'terms', type: 'checkbox', required: true },
        { name: 'contact', type: 'email' },
        { name: 'story', type: 'text', max: 1000 },
      ],
    });
    const snippet = (await json('html', 'rsvp')).snippet;
    expect(snippet.split('\n').slice(1, 8)).to.deep.equal([
      '  <label>Your {name} <input name="guest" minlength="2" maxlength="20" required></label>',
      '  <label>Seats <input name="seats" type="number" step="any" min="1" max="8"></label>',
      '  <label>Dish <select name="dish" required><option value=""></option><option>Fish</option><option>&lt;{Meat}&gt;</option></select></label>',
      '  <label>Days <select name="days" multiple><option>Fri</option><option>Sat</option></select></label>',
      '  <label>Terms <input name="terms" type="checkbox" value="yes" required></label>',
      '  <label>Contact <input name="contact" type="email" autocomplete="email"></label>',
      '  <label>Story <textarea name="story" maxlength="1000" rows="5"></textarea></label>',
    ]);
    const react = (await json('html', 'rsvp', '--react')).snippet;
    for (const part of [
      `<label>Your {'{'}name{'}'} <input name="guest" minLength="2" maxLength="20" required /></label>`,
      `<option>&lt;{'{'}Meat{'}'}&gt;</option></select></label>`,
      '<textarea name="story" maxLength="1000" rows={5} /></label>',
    ]) {
      expect(react).to.include(part);
    }
    const { stdout } = await run('show', 'rsvp');
    expect(stdout.replaceAll(/\s+/g, ' ')).to.include(
      'fields guest (text, 2–20); seats (number, 1–8); dish (choice, Fish, <{Meat}>); days (choices, –1, Fri, Sat); ' +
        'terms (checkbox); contact (email, the sender); story (text, –1000) required guest, dish, terms',
    );
  });

  it('say which servers may run if messages may lack an address or a text', async () => {
    const note = 'no server older than 0.3.0 may be running';
    for (const [said, ...args] of [
      [true, 'add', 'a', '--fields', 'any'],
      [true, 'add', 'b', '--optional', 'email'],
      [false, 'change', 'b', '--optional', 'email,message'],
      [false, 'change', 'b', '--reset', 'optional'],
      [true, 'change', 'b', '--optional', 'message'],
      [false, 'add', 'c', '--fields', 'any', '--require', 'email', 'message'],
      [false, 'add', 'd', '--require', 'company'],
    ] as const) {
      const { code, stderr } = await run(...args);
      expect([code, stderr.includes(note)], args.join(' ')).to.deep.equal([0, said]);
    }
    expect((await run('show', 'a')).stdout).to.match(/^fields +any\nrequired +nothing$/m);
  });

  it('list mailboxes and required fields once', async () => {
    const twice = ['Shop@site.test', 'b@site.test', 'shop@SITE.test', 'shop@site.test'];
    const form = await json('add', 'shop', '--to', ...twice, '--require', 'email', 'company', 'email');
    expect(form).to.deep.include({
      recipients: ['Shop@site.test', 'b@site.test'],
      requiredFields: ['email', 'company'],
    });
    expect(form.effective.requiredFields).to.deep.equal(['email', 'message', 'company']);
    const shown = await runHere(['forms', 'show', 'contact', '--json'], db, {
      settings: { ...settings, NOTIFY_TO: twice.join(', ') },
    });
    expect(JSON.parse(shown.stdout).effective.recipients).to.deep.equal(['Shop@site.test', 'b@site.test']);
  });

  it('use their own settings, or else those of the environment', async () => {
    const plain = await json('show', 'contact');
    expect(plain).to.deep.equal({
      id: plain.id,
      slug: 'contact',
      name: null,
      state: 'open',
      address: 'https://forms.example.test/base/api/messages',
      recipients: null,
      autoReply: null,
      captcha: null,
      redirectUrl: null,
      requiredFields: null,
      optionalFields: null,
      fields: null,
      emailField: null,
      routes: null,
      closesAt: null,
      messageLimit: null,
      left: null,
      closedText: null,
      language: null,
      words: null,
      origins: null,
      retentionDays: null,
      notifyLimit: null,
      effective: {
        recipients: ['owner@site.test'],
        autoReply: true,
        captcha: 'none',
        retentionDays: 0,
        notifyLimit: 60,
        language: 'en',
        requiredFields: ['email', 'message'],
        emailField: 'email',
      },
      createdAt: plain.createdAt,
      closedAt: null,
    });
    const own = {
      name: 'The shop',
      recipients: ['a@site.test', 'b@site.test'],
      autoReply: false,
      captcha: 'altcha',
      redirectUrl: 'https://shop.test/thanks?x=1',
      requiredFields: ['company'],
      origins: ['https://shop.test', 'capacitor://localhost'],
      retentionDays: 30,
      notifyLimit: 0,
    };
    const changed = await json(
      'change',
      'contact',
      '--name',
      'The shop',
      '--to',
      'a@site.test',
      'b@site.test',
      '--auto-reply',
      'off',
      '--captcha',
      'altcha',
      '--redirect',
      'https://shop.test/thanks?x=1',
      '--require',
      'company',
      'company',
      '--origin',
      'https://shop.test/',
      'Capacitor://localhost',
      '--retention',
      '30',
      '--notify-limit',
      'off',
    );
    expect(changed).to.deep.include(own);
    expect(changed.effective).to.deep.equal({
      recipients: own.recipients,
      autoReply: false,
      captcha: 'altcha',
      retentionDays: 30,
      notifyLimit: 0,
      language: 'en',
      requiredFields: ['email', 'message', 'company'],
      emailField: 'email',
    });
    const { name, recipients, captcha } = plain;
    expect(await json('change', 'contact', '--reset', 'name', 'recipients', 'captcha')).to.deep.equal({
      ...changed,
      name,
      recipients,
      captcha,
      effective: {
        ...{ ...plain.effective, autoReply: false, retentionDays: 30, notifyLimit: 0 },
        requiredFields: ['email', 'message', 'company'],
      },
    });
    const others = ['auto-reply', 'redirect', 'required', 'origins', 'retention', 'notify-limit'];
    await json('change', 'contact', '--reset', ...others);
    expect((await json('list')).items).to.deep.equal([{ ...plain, messages: 0, held: 0, lastMessageAt: null }]);
    expect((await json('list')).next).to.equal(null);
  });

  it('show their routes, what is left of a limit, and when they close', async () => {
    const routes = ['topic=sales -> sales@site.test, Anna@site.test, SALES@site.test', 'topic=a=b -> b@site.test'];
    const added = await json('add', 'shop', '--route', ...routes, '--limit', '2', '--closes', '2090-12-24T18:00Z');
    expect(added).to.deep.include({
      routes: [
        { field: 'topic', value: 'sales', to: ['sales@site.test', 'Anna@site.test'] },
        { field: 'topic', value: 'a=b', to: ['b@site.test'] },
      ],
      ...{ state: 'open', closesAt: '2090-12-24T18:00:00.000Z', messageLimit: 2, left: 2 },
    });
    await using context = await openTestContext(db);
    await buildMessages(context, 3, (index) => (index === 2 ? { _gotcha: 'x' } : {}));
    await db.query(`update messages set form_id = (select id from forms where slug = 'shop')`);
    expect((await json('list')).items.map((it: { left: number | null }) => it.left)).to.deep.equal([null, 0]);
    expect((await run('list')).stdout).to.match(/shop +full, closes 2090-12-24 /);
    expect(await json('change', 'shop', '--limit', '5')).to.include({ left: 2 });
    expect((await run('list')).stdout).to.match(/shop +open, 2 left, closes 2090-12-24 /);
    const { stdout } = await run('show', 'shop');
    expect(stdout).to.match(/routes +topic=sales -> sales@site.test, Anna@site.test; topic=a=b -> b@site.test\n/);
    expect(stdout)
      .to.match(/limit +5 messages, 2 left\n/)
      .and.match(/closes +2090-12-24 \(/);

    expect(await json('change', 'shop', '--closes', '2026-01-01')).to.include({ state: 'closed' });
    const closed = await run('change', 'shop', '--reopen');
    expect(closed).to.include({ code: 2, stdout: '' });
    expect(closed.stderr).to.include('--closes').and.include('--reset closes');
    expect(await json('change', 'shop', '--reopen', '--reset', 'closes', 'limit', 'routes')).to.deep.include({
      ...{ state: 'open', closesAt: null, messageLimit: null, left: null, routes: null },
    });
  });

  it('refuse routes and limits that cannot work', async () => {
    const many = (count: number, text: (n: number) => string) => Array.from({ length: count }, (_, n) => text(n));
    for (const [args, words] of [
      [['topic'], "It must be like 'topic=sales -> sales@example.com'"],
      [['topic=sales'], 'It must be like'],
      [['-> a@site.test'], 'It must be like'],
      [['topic=sales ->'], 'It must be like'],
      [['topic=sales -> '], 'routes.0.to.0: is empty'],
      [['topic= -> a@site.test'], 'routes.0.value: is empty'],
      [['_topic=sales -> a@site.test'], 'routes.0.field: cannot be the name of a field'],
      [['topic=sales -> a@site.test,'], 'routes.0.to.1: is empty'],
      [['topic=sales -> a@site.test, nobody'], '"nobody" is not an e-mail address'],
      [['topic=sales -> a@site.test b@site.test'], 'is not an e-mail address'],
      [[`topic=sales -> ${many(21, (n) => `a${n}@site.test`).join(',')}`], 'has more than 20 addresses'],
      [many(51, (n) => `topic=${n} -> a@site.test`), 'routes: there are more than 50'],
      [['topic=a -> a@site.test', '--limit', '0'], 'whole number from 1'],
      [['topic=a -> a@site.test', '--closes', 'soon'], 'is not a time'],
    ] as [string[], string][]) {
      const refused = await run('change', 'contact', '--route', ...args);
      expect([refused.code, refused.stdout], args[0]).to.deep.equal([2, '']);
      expect(refused.stderr.replaceAll(/\s+/g, ' ')).to.include(words);
    }
    expect(await json('show', 'contact')).to.include({ routes: null, messageLimit: null, closesAt: null });
  });

  it('say before a change what will be deleted or refused', async () => {
    await using context = await openTestContext(db);
    const stored = await buildMessages(context, 3, (index) => (index === 2 ? { _gotcha: 'x' } : {}));
    // Nobody was told about the held one, so it stays.
    await past.aged(db, '40 days');
    await past.sent(db);
    const listed = (await json('list')).items[0];
    expect(listed).to.include({ messages: 3, held: 1 });
    expect(Date.parse(listed.lastMessageAt)).to.be.below(stored[0]?.receivedAt.getTime() ?? 0);
    const table = withoutColours((await runHere(['forms', 'list'], db, { settings, columns: 80 })).stdout);
    expect(table).to.match(/contact +open +3 +1 +\d+ \w{3} \d\d:\d\d +owner/);

    const unasked = await run('change', 'contact', '--retention', '30');
    expect(unasked).to.include({ code: 2, stdout: '' });
    expect(unasked.stderr).to.match(/3 messages of "contact" will be deleted within the hour.*pass --yes/s);
    expect(await json('show', 'contact')).to.include({ retentionDays: null });
    expect((await run('change', 'contact', '--retention', '60')).stderr).to.equal('');
    const given = { settings: { ...settings, RETENTION_DAYS: '7' }, columns: 80, types: 'n\n' };
    const reset = await runHere(['forms', 'change', 'contact', '--reset', 'retention'], db, given);
    expect(reset.stderr).to.include('Keep messages for 7 days only? [y/N]').and.include('nothing was changed');
    const yes = await run('change', 'contact', '--retention', '30', '--yes', '--require', 'phone', 'company');
    expect(yes.code).to.equal(0);
    expect(yes.stderr).to.match(/3 messages.*Posts without phone, company are refused/s);
    expect((await run('change', 'contact', '--require', 'phone')).stderr).to.not.include('refused');
  });

  it('are shown with the source of each setting', async () => {
    await run('change', 'contact', '--require', 'company', '--origin', 'https://shop.test');
    const { stdout } = await runHere(['forms', 'show', 'contact'], db, { settings, columns: 80 });
    expect(withoutColours(stdout))
      .to.match(/recipients +owner@site\.test \(from NOTIFY_TO\)/)
      .and.match(/required +email, message, company/)
      .and.match(/origins +https:\/\/shop\.test/)
      .and.match(/notify limit +60 an hour \(the default\)/);
    const table = withoutColours((await runHere(['forms', 'list'], db, { settings, columns: 90 })).stdout);
    expect(table)
      .to.match(/contact +open +0 +never +owner@site\.test +on +none/)
      .and.not.include('NAME');
  });

  it('are rejected if invalid, and nothing changes', async () => {
    await json('add', 'shop');
    const before = (await json('list')).items;
    const misuses: [string[], number, RegExp][] = [
      [['add', 'shop'], 1, /the form "shop" already exists/],
      [['add', 'Shop'], 2, /cannot be a slug/],
      [['add', '-x'], 2, /./],
      [['add'], 2, /./],
      [['add', 'x', '--to', 'nobody'], 2, /"nobody" is not an e-mail address/],
      [['add', 'x', '--redirect', 'javascript:alert(1)'], 2, /not an http or https URL/],
      [['add', 'x', '--captcha', 'turnstile'], 2, /set CAPTCHA=turnstile/],
      [['add', 'x', '--require', '_next'], 2, /cannot be a field/],
      [['add', 'x', '--origin', 'https://shop.test/page'], 2, /not an origin/],
      [['add', 'x', '--origin', 'capacitor://'], 2, /not an origin/],
      [['add', 'x', '--auto-reply', 'yes'], 2, /on, off/],
      [['add', 'x', '--retention', 'never'], 2, /whole number of days/],
      [['add', 'x', '--retention', '40000'], 2, /up to 36500/],
      [['add', 'x', '--notify-limit', '0'], 2, /from 1, or off/],
      [['add', 'x', '--notify-limit', '1000001'], 2, /up to 1000000/],
      [['change', 'shop'], 2, /say what to change/],
      [['change', 'shop', '--name', 'x', '--reset', 'name'], 2, /both set and reset/],
      [['change', 'shop', '--slug', 'contact'], 1, /already/],
      [['change', 'contact', '--slug', 'other'], 2, /keeps its slug/],
      [['change', 'nothing', '--name', 'x'], 1, /there is no form "nothing": see "ruffinweb forms list"/],
      [['show', 'nothing'], 1, /no form/],
      [['close', 'nothing'], 1, /no form/],
    ];
    for (const [args, code, said] of misuses) {
      const screen = await run(...args);
      expect(screen.code, args.join(' ')).to.equal(code);
      expect(screen.stdout, args.join(' ')).to.equal('');
      expect(screen.stderr, args.join(' ')).to.match(said);
    }
    expect((await json('list')).items).to.deep.equal(before);
    expect(await json('change', 'shop', '--slug', 'store')).to.include({
      slug: 'store',
      address: 'https://forms.example.test/base/api/forms/store/messages',
    });
  });

  describe('over HTTP', () => {
    let server: ServerHere;
    let http: Client;

    beforeEach(async () => {
      server = await startServerHere({ DATABASE_URL: db.url, ...settings });
      http = clientOf(server.url);
    });
    afterEach(async () => {
      await server[Symbol.asyncDispose]();
    });
    const fromBrowser = (body: Record<string, string>) =>
      http.send('/api/messages', {
        method: 'POST',
        headers: { Accept: browserAccept },
        body: new URLSearchParams(body),
      });

    it('answer 410 when closed, and 201 when reopened', async () => {
      const closed = await json('close', 'contact');
      expect(closed).to.include({ state: 'closed' });
      expect(await json('close', 'contact'), 'closed once').to.deep.equal(closed);
      expect((await http.post('/api/messages', submission())).status).to.equal(410);
      expect((await json('change', 'contact', '--reopen')).closedAt).to.equal(null);
      expect((await http.post('/api/messages', submission())).status).to.equal(201);
    });

    it('require their own fields and redirect browsers as configured', async () => {
      await json('change', 'contact', '--require', 'company', 'name', '--redirect', 'https://shop.test/thanks');
      const refused = await http.post('/api/messages', submission({ name: ' ', company: null }));
      expect(refused.status).to.equal(422);
      expect(refused.json.errors).to.deep.equal([
        { field: 'company', code: 'missing', message: 'is required' },
        { field: 'name', code: 'missing', message: 'is required' },
      ]);
      const page = await fromBrowser({ email: 'ada@example.test', message: 'Hello', first_name: 'Ada' });
      expect(page.status).to.equal(422);
      expect(page.text, 'a field to fill in, which was not in the form').to.match(/<input[^>]* name="company"/);
      expect(await db.count('messages')).to.equal(0);
      const taken = await fromBrowser({ email: 'ada@example.test', message: 'Hello', first_name: 'Ada', company: 'X' });
      expect([taken.status, taken.headers.get('location')]).to.deep.equal([303, 'https://shop.test/thanks']);
      expect((await http.post('/api/messages', submission({ company: 'X' }))).json).to.have.all.keys(
        'id',
        'receipt',
        'receivedAt',
      );
    });
  });

  it('name a missing field once, even if it is also invalid', () => {
    const faults = (values: Record<string, unknown>, required: string[]) => {
      try {
        checkFields(new Map(Object.entries(submission(values))), { requiredFields: required });
        return [];
      } catch (error) {
        return (error as { faults: { field: string; code: string }[] }).faults.map((it) => `${it.field} ${it.code}`);
      }
    };
    expect(faults({ company: 0 }, ['company'])).to.deep.equal([]);
    expect(faults({ company: 'x'.repeat(2001) }, ['company'])).to.deep.equal(['company too-long']);
    expect(faults({ email: '' }, ['email', 'toString'])).to.deep.equal(['email missing', 'toString missing']);
    expect(faults({}, ['subject', 'name'])).to.deep.equal(['subject missing']);
  });
});
