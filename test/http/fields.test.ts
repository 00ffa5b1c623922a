import { expect } from 'chai';
import { type FormField, HookDelivery } from '../../src/entities/index.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { composeEmail } from '../../src/services/emails/compose-email.ts';
import { addForm, changeForm } from '../../src/services/forms/form-settings.ts';
import type { FormSettings } from '../../src/services/forms/read-settings.ts';
import { composeDelivery } from '../../src/services/hooks/compose-delivery.ts';
import { runMaintenanceOnce } from '../../src/services/maintenance/run-maintenance.ts';
import { showMessage } from '../../src/services/messages/messages.ts';
import { openScope } from '../../src/services/scope.ts';
import { listErasures, replayErasures } from '../../src/services/senders/replay-erasures.ts';
import { runHere } from '../cli/terminal.ts';
import { type Answer, browserAccept, type Client } from '../support/api.ts';
import { openTestMailing } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi } from '../support/server-here.ts';

const settings = { MAIL_FROM: 'Site <site@site.test>', NOTIFY_TO: 'owner@site.test' };

describe('forms with fields of their own', () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;
  let context: MailingContext;

  before(async () => {
    api = await openApi(settings);
    ({ db, http } = api);
    context = await openTestMailing(db, settings);
    await form('rsvp', {
      language: 'auto',
      fields: [
        { name: 'guest', type: 'text', label: { en: 'Your name', de: 'Ihr Name' }, required: true, min: 2, max: 20 },
        { name: 'seats', type: 'number', label: 'Seats', min: 1, max: 8.5 },
        { name: 'dish', type: 'choice', choices: ['Fish', 'Yes, please'] },
        { name: 'days', type: 'choices', choices: ['Fri', 'Sat', 'Sun'], min: 1, max: 2 },
        { name: 'terms', type: 'checkbox', label: 'Terms' },
        { name: 'contact', type: 'email' },
        { name: 'name', type: 'text', max: 5 },
        { name: 'message', type: 'text', max: 300 },
        { name: 'note', type: 'text' },
      ],
    });
    await form('pair', {
      emailField: 'work',
      fields: ['work', 'home', 'partner'].map((name) => ({ name, type: 'email' })),
    });
    await form('any', { fields: 'any' });
    await form('rules', { fields: [{ name: 'terms', type: 'checkbox', required: true }] });
    await form('short', { optionalFields: ['email', 'message'] });
    const boxes: FormSettings['fields'] = [
      { name: 'terms', type: 'checkbox' },
      { name: 'day', type: 'choice', choices: ['Fri\n evening'] },
    ];
    await form('boxes', { fields: boxes });
    await form('agreed', { fields: boxes, requiredFields: ['terms'] });
    await form('strict', { fields: 'any', requiredFields: ['email', 'topic'] });
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
    await db.query('truncate recent_posts, erasures');
  });

  const form = (slug: string, its: Partial<FormSettings>) => addForm(openScope(context), slug, its);
  const post = (slug: string, values: object, headers = {}) =>
    http.post(`/api/forms/${slug}/messages`, values, headers);
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runHere(args, db, { settings });
    expect(code, stderr).to.equal(0);
    return stdout;
  };
  const json = async (...args: string[]) => JSON.parse(await run(...args, '--json'));
  const show = (answer: Answer) => showMessage(openScope(context), answer.json.receipt);
  const faultsOf = ({ json: { errors = [] } }: Answer) =>
    errors.map((it: { field: string; code: string; message: string }) => `${it.field} ${it.code}: ${it.message}`);

  /** What is stored for a value, or the fault. */
  const cases: [field: string, value: unknown, stored: string | undefined, fault?: string][] = [
    ['seats', ' 2 ', '2'],
    ['seats', 8.5, '8.5'],
    ['seats', '1e0', '1e0'],
    ['seats', '', undefined],
    ['seats', 'two', undefined, 'invalid: must be a number, like 12 or 12.5'],
    ['seats', '2,5', undefined, 'invalid: must be a number, like 12 or 12.5'],
    ['seats', '0x2', undefined, 'invalid: must be a number, like 12 or 12.5'],
    ['seats', '1e999', undefined, 'invalid: must be a number, like 12 or 12.5'],
    ['seats', ['2', '3'], undefined, 'invalid: must be a number, like 12 or 12.5'],
    ['seats', { a: 1 }, undefined, 'invalid: must be one text'],
    ['seats', 0.5, undefined, 'range: must be at least 1'],
    ['seats', '9', undefined, 'range: must be no more than 8.5'],
    ['dish', 'Fish', 'Fish'],
    ['dish', ['Yes, please'], 'Yes, please'],
    ['dish', 'fish', undefined, 'choice: must be one of the choices'],
    ['dish', ['Fish', 'Yes, please'], undefined, 'choice: must be one of the choices'],
    ['dish', { Fish: 1 }, undefined, 'choice: must be one of the choices'],
    ['days', ['Fri', 'Sun', 'Fri ', ''], 'Fri, Sun'],
    ['days', 'Sat', 'Sat'],
    ['days', [], undefined],
    ['days', ['Fri', 'Mon'], undefined, 'choice: must be one of the choices'],
    ['days', ['Fri', 'Sat', 'Sun'], undefined, 'range: must have no more than this many choices: 2'],
    ['terms', 'on', 'yes'],
    ['terms', true, 'yes'],
    ['terms', ['0', 'I agree'], 'yes'],
    ['terms', false, 'no'],
    ['terms', 'off', 'no'],
    ['terms', 'nein', 'no'],
    ['terms', { a: 1 }, undefined, 'invalid: must be one text'],
    ['contact', ' Ada@example.test ', 'Ada@example.test'],
    ['contact', 'ada@', undefined, 'invalid: must be a single e-mail address, like ada@example.com'],
    ['contact', ['a@b.test', 'c@d.test'], undefined, 'invalid: must be a single e-mail address, like ada@example.com'],
    ['guest', 'A', undefined, 'range: must have at least this many characters: 2'],
    ['guest', '😀😀', '😀😀'],
    ['guest', 'x'.repeat(21), undefined, 'too-long: must be no longer than 20 characters'],
    ['guest', ' ', undefined, 'missing: is required'],
    ['name', 'Ada Lovelace', undefined, 'too-long: must be no longer than 5 characters'],
    ['message', 'x'.repeat(301), undefined, 'too-long: must be no longer than 300 characters'],
    ['email', 'ada', undefined, 'invalid: must be a single e-mail address, like ada@example.com'],
    ['guest', `${'x\r\n'.repeat(10)}`, `${'x\r\n'.repeat(10)}`],
    ['further', ['a', 'b'], 'a, b'],
  ];
  it('keep each type of field, or say what is wrong with it', async () => {
    const expected = new Map<string, [about: string, field: string, stored: string | undefined]>();
    for (const [field, value, stored, fault] of cases) {
      const answer = await post('rsvp', { guest: 'Bo', n: `${expected.size}`, [field]: value });
      const about = `${field} ${JSON.stringify(value)}`;
      expect(faultsOf(answer), about).to.deep.equal(fault === undefined ? [] : [`${field} ${fault}`]);
      if (fault === undefined) expected.set(answer.json.receipt, [about, field, stored]);
    }
    const exported = (await run('messages', 'export', '--format', 'jsonl')).trim().split('\n');
    expect(exported).to.have.lengthOf(expected.size);
    for (const { receipt, extra } of exported.map((line) => JSON.parse(line))) {
      const [about, field = '', stored] = expected.get(receipt) ?? [];
      expect(extra[field], about).to.equal(stored);
    }
  });

  it('name every fault at once, with its label, in the language of the page', async () => {
    const wrong = { seats: 'x', dish: 'Meat', email: 'ada', long: 'x'.repeat(2001), _language: 'de-AT' };
    expect((await post('rsvp', wrong)).json.errors).to.deep.equal([
      { field: 'email', code: 'invalid', message: 'Bitte eine einzelne E-Mail-Adresse angeben, wie ada@example.com' },
      {
        field: 'seats',
        code: 'invalid',
        message: 'Bitte eine Zahl angeben, wie 12 oder 12.5 (mit Punkt)',
        label: 'Seats',
      },
      { field: 'dish', code: 'choice', message: 'Bitte unter den vorgegebenen Möglichkeiten wählen', label: 'Dish' },
      { field: 'long', code: 'too-long', message: 'Höchstens 2000 Zeichen' },
      { field: 'guest', code: 'missing', message: 'Bitte ausfüllen', label: 'Ihr Name' },
    ]);
    const english = await post('rsvp', { _language: 'fr' });
    expect(english.json.errors).to.deep.equal([
      { field: 'guest', code: 'missing', message: 'is required', label: 'Your name' },
    ]);
  });

  it('require what they say, and always one visible field', async () => {
    const empty = ' missing: at least one field must be filled in';
    const table: [slug: string, values: object, ...faults: string[]][] = [
      ['any', { topic: 'x' }],
      ['any', { topic: ' ', message: '\n', _next: '/x' }, empty],
      ['any', { email: 'ada@', x: '1' }, 'email invalid: must be a single e-mail address, like ada@example.com'],
      ['short', { name: 'Ada' }],
      ['short', {}, empty],
      ['strict', { x: '1' }, 'email missing: is required', 'topic missing: is required'],
      ['boxes', { terms: 'no' }, empty],
      ['boxes', { terms: 'no', day: 'Fri evening' }],
      ['agreed', { terms: 'no', day: 'Fri evening' }, 'terms missing: must be ticked'],
      ['strict', { _replyto: 'ada@example.test', topic: 'x' }],
      ['pair', {}, empty],
      ['contact', { topic: 'x' }, 'email missing: is required', 'message missing: is required'],
    ];
    for (const [slug, values, ...faults] of table) {
      expect(faultsOf(await post(slug, values)), `${slug} ${JSON.stringify(values)}`).to.deep.equal(faults);
    }
  });

  it('take the address from email, _replyto, the named field or the only one', async () => {
    const [a, b, c] = ['a@example.test', 'b@example.test', 'c@example.test'];
    const table: [slug: string, values: Record<string, string>, address: string | null, others?: number][] = [
      ['rsvp', { guest: 'Bo', contact: a }, a],
      ['rsvp', { guest: 'Bo', contact: a, email: b }, b, 1],
      ['rsvp', { guest: 'Bo', contact: a, _replyto: b }, b, 1],
      ['rsvp', { guest: 'Bo' }, null],
      ['pair', { work: a, home: b, partner: c }, a, 2],
      ['pair', { work: a, home: 'A@EXAMPLE.test', partner: a }, a],
      ['pair', { home: b, partner: b }, null, 1],
      ['any', { contact: a }, null],
    ];
    for (const [slug, values, address, others] of table) {
      const { email, extra, noReply, id } = await show(await post(slug, values));
      const about = `${slug} ${JSON.stringify(values)}`;
      expect(email, about).to.equal(address);
      expect(extra, about).to.include(values.contact && !values.email ? { contact: values.contact } : {});
      expect(noReply === 'no-address', about).to.equal(address === null);
      const [row] = await db.query('select cardinality(other_addresses) as others from messages where id = $1', [id]);
      expect(row, about).to.deep.equal({ others: others ?? null });
    }
  });

  it('store messages without address and text, and every reader copes', async () => {
    const stored = await post('any', { topic: 'Sales', phone: '1' });
    const { receipt } = stored.json;
    expect(await db.emails()).to.deep.equal({ 'notification queued': 1 });
    const { rows } = await claimDue(openScope(context), 1);
    const mail = rows[0] && (await composeEmail(context, openScope(context), rows[0]));
    expect(mail).to.not.have.property('replyTo');
    expect(mail?.text)
      .to.include('Sales')
      .and.not.match(/undefined|null/);
    expect(await run('messages', 'list'))
      .to.include(receipt)
      .and.include('Sales, 1');
    expect(await run('messages', 'show', receipt))
      .to.include('Sales')
      .and.not.match(/undefined|null|^│$/m);
    expect(await run('find', 'sales')).to.include(receipt);
    expect(await run('messages', 'export', '--format', 'csv')).to.match(new RegExp(`${receipt}.*Sales`));
    const reply = await runHere(['messages', 'reply', receipt], db, { settings, input: 'Hello' });
    expect([reply.code, reply.stderr]).to.deep.equal([1, `message ${receipt} has no address to answer to`]);
    for (const verb of ['block', 'erase']) {
      const { code, stderr } = await runHere(['senders', verb, receipt, ...(verb === 'erase' ? ['--yes'] : [])], db);
      expect([code, stderr], verb).to.deep.equal([1, `message ${receipt} has no sender: see "ruffinweb senders list"`]);
    }
    await db.query('update emails set lease_token = null');
    await run('messages', 'hold', receipt);
    await run('messages', 'release', receipt);
    expect(await run('messages', 'delete', receipt, '--yes')).to.include(receipt);
    expect(await db.count('messages')).to.equal(0);
  });

  it('appear in digests, summaries and hooks without an address', async () => {
    await db.query(`insert into hooks (id, name, kind, state, url, events, with_content, created_at)
      values (gen_random_uuid(), 'chat', 'slack', 'active', '', '{message.accepted}', true, now())`);
    await changeForm(openScope(context), 'any', { notifyLimit: 1 });
    const posts = [{ topic: 'Sales' }, { topic: 'Jobs' }, { topic: 'Press' }, { topic: 'Spam', _gotcha: 'x' }];
    for (const values of posts) await post('any', values);
    await runMaintenanceOnce(context);
    await db.makeAllDue();
    const { rows } = await claimDue(openScope(context), 10);
    const mails = await Promise.all(rows.map((row) => composeEmail(context, openScope(context), row)));
    const texts = mails.map((mail) => `${mail.subject}\n${mail.text}`).sort();
    expect(texts).to.have.lengthOf(3);
    for (const [n, part] of ['1 held message', '2 more messages', 'New message: any'].entries()) {
      expect(texts[n])
        .to.include(part)
        .and.not.match(/undefined|null|<>/);
    }
    const em = context.orm.em.fork();
    const populate = ['hook', 'message.form', 'message.sender', 'email'] as const;
    const [delivery] = await em.find(HookDelivery, {}, { populate, limit: 1 });
    if (delivery === undefined) throw new Error('no hook was told');
    const place = { table: 'hooks', column: 'url', row: delivery.hook.id } as const;
    delivery.hook.url = context.keyring.seal('https://hook.test/', place);
    const { body } = composeDelivery(openScope(context), delivery.hook, delivery);
    expect(body).to.include('"text":"topic: Sales\\n').and.not.include('<>');
  });

  it('find repeats by all fields, also of two posts at once', async () => {
    const both = await Promise.all([post('any', { a: '1', b: '2' }), post('any', { a: '1', b: '2' })]);
    expect(both[0]?.json.receipt).to.equal(both[1]?.json.receipt);
    const key = { 'Idempotency-Key': 'k' };
    const other = await post('any', { a: '1', b: '3' }, key);
    expect(other.json.receipt).to.not.equal(both[0]?.json.receipt);
    expect((await post('any', { a: '1', b: '3' }, key)).json.receipt).to.equal(other.json.receipt);
    expect((await post('any', { a: '1', b: '4' }, key)).json.code).to.equal('idempotency-key-reused');
    expect([await db.count('messages'), await db.count('senders')]).to.deep.equal([2, 0]);
  });

  it('count each message without an address as another person', async () => {
    const message = 'We can bring your website to the top of every search engine for only 99 dollars a month';
    for (let n = 0; n < 4; n++) await post('short', { message: message.replace('99', String(n)) });
    expect(await db.query('select status, reasons from messages order by id offset 2')).to.deep.equal([
      { status: 'accepted', reasons: [] },
      { status: 'held', reasons: ['same-text-from-many'] },
    ]);
  });

  describe('with an address in another field', () => {
    const partner = 'Partner@example.test';
    const pair = (n: number, values: object = {}) =>
      post('pair', { work: 'ada@example.test', partner, message: `No ${n}`, ...values });

    it('are exported with it', async () => {
      const { receipt } = (await pair(1)).json;
      await post('pair', { work: 'bob@example.test', partner: 'other@example.test' });
      const { sender, messages } = await json('senders', 'export', '--email', partner.toLowerCase());
      expect(sender).to.equal(null);
      expect(messages).to.have.lengthOf(1);
      expect(messages[0]).to.include({ receipt, email: null, message: null, clientAddress: null, senderId: null });
      expect([messages[0].extra, messages[0].emails]).to.deep.equal([{ partner }, []]);
      const own = await json('senders', 'export', '--email', 'ada@example.test');
      expect(own.messages[0]).to.include({ receipt, email: 'ada@example.test', message: 'No 1' });
    });

    it('are erased with it, also again after a restore, and later ones stay', async () => {
      await pair(1);
      await pair(2, { work: partner, partner: 'x@example.test' });
      await post('pair', { work: 'ada@example.test' });
      await db.query('create table kept as select * from messages');
      const asked = await runHere(['senders', 'erase', '--email', partner], db, {
        settings,
        columns: 100,
        types: 'n\n',
      });
      expect(asked.stderr).to.include('for good: 2 messages');
      expect(await json('senders', 'erase', '--email', partner, '--yes')).to.include({ messages: 2 });
      expect(await db.query('select message_count as count from senders')).to.deep.equal([{ count: 1 }]);
      const scope = openScope(context);
      const records = await listErasures(scope);
      await pair(3);
      // As a backup from before would bring them back.
      await db.query(`insert into messages select * from kept where other_addresses is not null
        and sender_id in (select id from senders) and id not in (select id from messages); drop table kept`);
      await db.query('truncate erasures');
      expect(await replayErasures(scope, records)).to.deep.equal({ records: 1, messages: 1, senders: 0 });
      expect(await db.count('messages')).to.equal(2);
      const again = await runHere(['senders', 'erase', '--email', 'nobody@example.test', '--yes'], db, { settings });
      expect([again.code, again.stderr]).to.deep.equal([
        1,
        'nobody has written from nobody@example.test, or named it in a field of type email (other texts are searched by "find"): see "ruffinweb senders list"',
      ]);
    });

    it('wait for an erasure of it, and are complete before it', async () => {
      await pair(1);
      const lock = await db.lockRows('emails');
      const erasing = run('senders', 'erase', '--email', partner, '--yes');
      await db.waitingForLocks(1);
      const posting = pair(2);
      await db.waitingForLocks(2);
      await lock.release();
      await erasing;
      expect((await posting).status).to.equal(201);
      const left = await db.query('select receipt from messages');
      expect(left).to.deep.equal([{ receipt: (await posting).json.receipt }]);
    });

    it('are held if its owner is blocked', async () => {
      await pair(0);
      const early = await runHere(['senders', 'block', partner], db, { settings });
      const why = `nobody has written from ${partner}, but others have named it: see "ruffinweb find ${partner}"`;
      expect([early.code, early.stderr]).to.deep.equal([1, why]);
      expect(await run('find', partner)).to.include('ada@example.test');
      await post('contact', { email: partner, message: 'Hi' });
      await run('senders', 'block', partner);
      const { status, reasons } = await show(await pair(1));
      expect([status, reasons]).to.deep.equal(['held', ['sender-blocked']]);
      expect((await show(await pair(2, { partner: 'x@example.test' }))).status).to.equal('accepted');
    });
  });

  it('ask to tick a required box that the browser left out', async () => {
    const { json } = await http.post('/api/forms/rules/messages', { guest: 'Ada' });
    expect(json.errors).to.deep.equal([{ field: 'terms', code: 'missing', message: 'must be ticked', label: 'Terms' }]);
  });

  it('show what to correct with fitting inputs and labels', async () => {
    const ask = async (slug: string, body: string) =>
      (
        await http.send(`/f/${slug}`, {
          method: 'POST',
          headers: { Accept: browserAccept },
          body: new URLSearchParams(body),
        })
      ).text;
    const answers = 'seats=9&dish=Meat&days=Fri&days=Sun&days=Mon&terms=0&terms=on&note=a%0D%0Ab&further=x';
    const page = await ask('rsvp', `${answers}&_language=de`);
    for (const part of [
      '<li><a href="#field-1">Ihr Name: Bitte ausfüllen</a></li>',
      /<input id="field-2" name="seats" type="number" value="9" [^>]*min="1" max="8.5" aria-invalid/,
      /<select id="field-3" name="dish" aria-invalid[^>]*><option value=""><\/option><option>Fish<\/option>/,
      /name="days" multiple [^>]*><option selected>Fri<\/option><option>Sat<\/option><option selected>Sun</,
      /<label for="field-5">Terms<\/label>\s*<input [^>]*name="terms" type="checkbox" value="yes" checked>/,
      /<textarea [^>]*name="note"[^>]*>\s*a\s*b</,
      '<input type="hidden" name="further" value="x">',
      '<input type="hidden" name="_language" value="de">',
    ]) {
      expect(page).to.match(typeof part === 'string' ? new RegExp(part.replaceAll('.', '\\.')) : part);
    }
    expect(await ask('rsvp', 'terms=0')).to.match(/name="terms" type="checkbox" value="yes">/);
    expect(await ask('rsvp', 'guest=Bo&seats=two')).to.match(/name="seats" type="text" value="two"/);
    expect(await ask('any', 'topic='))
      .to.include('at least one field')
      .and.match(/name="message"/);
  });

  const refused = async (its: Partial<FormSettings>) =>
    await form('twins', its).then(
      () => 'added',
      (error: Error) => error.message,
    );

  it('refuse a declaration that no post can fulfil', async () => {
    const table: [field: FormField, fault: string][] = [
      [{ name: 'a', type: 'text', max: 2001 }, 'max: must be at most 2000'],
      [{ name: 'message', type: 'text', max: 10_001 }, 'max: must be at most 10000'],
      [{ name: 'firstName', type: 'text', max: 201 }, 'max: must be at most 200'],
      [{ name: 'a', type: 'text', min: 2001 }, 'min: must be at most 2000'],
      [{ name: 'a', type: 'text', min: 1, max: 1.5 }, 'max: must be a whole number from 0'],
      [{ name: 'a', type: 'number', min: 2, max: 1 }, 'min: is greater than max'],
      [{ name: 'a', type: 'choices', choices: ['x'], min: 2 }, 'min: must be at most 1'],
      [{ name: 'a', type: 'choice', choices: ['x  y', 'x y'] }, 'choices: names a choice twice'],
      [{ name: 'a', type: 'checkbox', max: 1 }, 'max: is not for this type'],
      [{ name: 'altcha', type: 'text' }, 'name: has another use: choose another one'],
      [{ name: 'bot-field', type: 'text' }, 'name: has another use: choose another one'],
    ];
    for (const [field, fault] of table) expect(await refused({ fields: [field] })).to.equal(`fields.0.${fault}`);
  });

  it('name one of several address fields as the sender’s', async () => {
    const fields = ['one', 'two'].map((name) => ({ name, type: 'email' as const }));
    const wanted = 'emailField: name the field of type email with the sender: one or two';
    expect(await refused({ fields })).to.equal(wanted);
    expect(await refused({ fields, emailField: 'three' })).to.equal(wanted);
    const withEmail = [...fields, { name: 'email', type: 'email' as const }];
    expect(await refused({ fields: withEmail, emailField: 'one' })).to.match(/with the sender: email$/);
    const change = changeForm(openScope(context), 'any', { fields });
    expect(await change.catch((error: Error) => error.message)).to.equal(wanted);
    expect(await refused({ emailField: 'one' })).to.equal('emailField: the form declares no fields');
  });

  it('fit their routes', async () => {
    const fields = [{ name: 'topic', type: 'choice' as const, choices: ['sales', 'help'] }];
    const routes = (field: string, value: string) => [{ field, value, to: ['sales@site.test'] }];
    expect(await refused({ fields, routes: routes('topic', 'sale') })).to.match(
      /"sale" is no choice of the field "topic"$/,
    );
    for (const it of [routes('topic', 'sales'), routes('subject', 'anything'), routes('source', 'x')]) {
      await changeForm(openScope(context), 'any', { fields, routes: it });
    }
  });

  it('are columns of a CSV file of their form', async () => {
    await post('rsvp', { guest: 'Ada', seats: '2', days: ['Fri', 'Sun'], phone: '1' });
    const [header, row] = (await run('messages', 'export', '--form', 'rsvp')).split(/\r?\n/);
    expect(header).to.match(/,message,guest,seats,dish,days,terms,contact,note,extra,senderId,id$/);
    expect(row).to.include(',Ada,2,,"Fri, Sun",,,,"{""phone"":""1""}",');
  });
});
