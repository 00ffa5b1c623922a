import { expect } from 'chai';
import PostalMime from 'postal-mime';
import { escapeHtml } from '../../src/escape-html.ts';
import {
  type AutoReplyContent,
  composeAutoReply,
  composeDigest,
  composeHeldSummary,
  composeNotification,
  composeTest,
  type Envelope,
  type NotificationContent,
} from '../../src/mail/compose/compose.ts';
import { openTemplates } from '../../src/mail/compose/templates.ts';
import type { Mail } from '../../src/mail/mailer.ts';
import { buildMime } from '../../src/mail/mime.ts';

const templates = openTemplates();
const envelope: Envelope = {
  id: '0193a0c4-0000-7000-8000-000000000001',
  from: 'Example <forms@example.test>',
  to: 'owner@example.test',
  internetMessageId: '<0193a0c4@example.test>',
  date: new Date('2026-11-22T07:33:01Z'),
};
const message: NotificationContent = {
  language: 'en',
  siteName: 'Example Studio',
  labels: { name: 'Name', email: 'E-mail', subject: 'Subject', message: null },
  receipt: 'RW-7K3M9QX2TA',
  formSlug: 'contact',
  formName: 'Contact',
  receivedAt: new Date('2026-11-22T07:33:00Z'),
  sender: { address: 'ada@engine.example', name: 'Ada Lovelace' },
  subject: 'Prices',
  message: 'Hello,\n  how much is it?\nSee https://engine.example/a?b=1&c=2',
  extra: [{ name: 'company', value: 'Engines & Sons' }],
  publicUrl: 'https://forms.example.test',
  threadId: '<0193-sender@forms.example.test>',
};
const reply: AutoReplyContent = {
  language: 'en',
  formSlug: 'contact',
  receipt: 'RW-7K3M9QX2TA',
  siteName: 'Example Studio',
  siteUrl: 'https://www.example.test',
  receivedAt: new Date('2026-11-22T07:33:00Z'),
  unsubscribeUrl: 'https://forms.example.test/unsubscribe/0193?t=abc',
};

async function sent(mail: Mail) {
  const { raw, envelope: smtp } = buildMime(mail);
  const parsed = await PostalMime.parse(raw);
  const header = (name: string) => parsed.headers.find((it) => it.key === name)?.value;
  const [head = ''] = raw.toString('latin1').split('\r\n\r\n');
  return { raw, smtp, parsed, header, head, names: parsed.headers.map((it) => it.key) };
}

describe('the notification', () => {
  it('contains all facts, in text and in HTML', async () => {
    const mail = composeNotification(templates, envelope, message);
    const { parsed, header, smtp, names } = await sent(mail);

    expect(smtp).to.deep.equal({ from: 'forms@example.test', to: ['owner@example.test'] });
    expect(parsed.subject).to.equal('New message from Ada Lovelace [RW-7K3M9QX2TA]');
    expect(parsed.from).to.deep.equal({ name: 'Example', address: 'forms@example.test' });
    expect(header('reply-to')).to.equal('ada@engine.example');
    expect(header('auto-submitted')).to.equal('auto-generated');
    // Not All, and not NDR: that it could not be delivered is what an owner's Exchange is to say.
    expect(header('x-auto-response-suppress')).to.equal('DR, RN, NRN, OOF, AutoReply');
    expect(header('message-id')).to.equal('<0193a0c4@example.test>');
    expect(header('references')).to.equal('<0193-sender@forms.example.test>');
    expect(header('in-reply-to')).to.equal('<0193-sender@forms.example.test>');
    expect(parsed.date).to.equal('2026-11-22T07:33:01.000Z');
    expect(names).to.not.include('x-mailer');
    expect(mail.text).to.equal(`Ada Lovelace wrote to you

Name:     Ada Lovelace
E-mail:   ada@engine.example
Form:     Contact
Received: 22 November 2026 at 07:33 UTC
Receipt:  RW-7K3M9QX2TA
Subject:  Prices

----------------------------------------------------------------------

Hello,
  how much is it?
See https://engine.example/a?b=1&c=2

----------------------------------------------------------------------

company: Engines & Sons

Your answer to this mail goes to the sender. It was sent by the form
“contact” at https://forms.example.test/
`);
    expect(parsed.text?.trimEnd()).to.equal(mail.text.trimEnd());
    expect(parsed.html?.trimEnd()).to.equal(mail.html.trimEnd());
    for (const part of [
      'Ada Lovelace',
      'Contact',
      '22 November 2026',
      'RW-7K3M9QX2TA',
      'Prices',
      'Engines &amp; Sons',
      'company',
      '  how much is it?',
    ]) {
      expect(mail.html).to.include(part);
    }
  });

  it('leaves out what is missing', async () => {
    const { formName, subject, threadId, ...least } = message;
    const mail = composeNotification(templates, envelope, {
      ...least,
      sender: { address: 'ada@engine.example' },
      extra: [],
    });
    const { parsed, names } = await sent(mail);

    expect([formName, subject, threadId]).to.not.include(undefined);
    expect(parsed.subject).to.equal('New message from ada@engine.example [RW-7K3M9QX2TA]');
    expect(mail.text).to.include('Form:     contact').and.to.not.include('Name:').and.to.not.include('Subject:');
    expect(mail.html).to.not.include('>Name<');
    expect(names).to.not.include('references');
  });

  it('shows a message without text, name or address, in each language', async () => {
    const answers = [{ name: 'Ich komme', value: 'ja' }];
    const { formName, subject, threadId, ...least } = message;
    const facts = { ...least, ...{ formSlug: 'rsvp', message: ' \n', sender: {}, extra: answers } };
    expect([formName, subject, threadId]).to.not.include(undefined);
    const english = composeNotification(templates, envelope, facts);
    expect(english).to.include({ subject: 'New message: rsvp [RW-7K3M9QX2TA]' }).and.not.have.property('replyTo');
    expect(english.text).to.equal(`Somebody filled in a form

Form:     rsvp
Received: 22 November 2026 at 07:33 UTC
Receipt:  RW-7K3M9QX2TA

----------------------------------------------------------------------

Ich komme: ja

It was sent by the form “rsvp” at https://forms.example.test/
`);
    expect(english.html).to.not.match(/white-space:pre-wrap[^>]*><\/td>|class="quote"/);
    expect(english.html).to.match(/aria-hidden="true">Ich komme<span>:<\/span> ja<|aria-hidden="true">Ich komme: ja</);
    const german = composeNotification(templates, envelope, { ...facts, language: 'de', sender: { name: 'Ada' } });
    expect(german.subject).to.equal('Neue Nachricht von Ada [RW-7K3M9QX2TA]');
    expect(german.text).to.equal(`Ada hat ein Formular ausgefüllt

Name:            Ada
Formular:        rsvp
Eingang:         22. November 2026 um 07:33 UTC
Vorgangsnummer:  RW-7K3M9QX2TA

----------------------------------------------------------------------

Ich komme: ja

Gesendet über das Formular „rsvp“ auf https://forms.example.test/
`);
    expect(german.html).to.include('<html lang="de"').and.include('<bdi>Ada</bdi> hat ein Formular ausgefüllt</h1>');
  });

  it('turns nothing that a visitor wrote into markup or links', () => {
    const hostile =
      '<script>alert(1)</script><img src=x onerror=alert(1)><a href="https://evil.example">click</a>" onmouseover="x {{ receipt }} {% raw %}';
    const mail = composeNotification(templates, envelope, {
      ...message,
      sender: { address: 'ada@engine.example', name: hostile },
      subject: hostile,
      message: hostile,
      extra: [{ name: hostile, value: hostile }],
    });
    const clean = composeNotification(templates, envelope, { ...message, subject: 'x', message: 'x' });
    const tags = (html: string) => new Set(html.match(/<\/?[a-z][a-z0-9]*/gi));

    expect([...tags(mail.html)].filter((tag) => !tags(clean.html).has(tag))).to.deep.equal([]);
    expect(mail.html.match(/<a /g)).to.have.lengthOf(1);
    expect(mail.html.match(/href="([^"]*)"/g)).to.deep.equal(['href="https://forms.example.test/"']);
    expect(mail.html).to.not.match(/<(script|img|form|iframe|link|object|svg)\b/i);
    expect(mail.text).to.include(hostile);
  });

  it('loads nothing from the network', () => {
    const mail = composeNotification(templates, envelope, message);

    expect(mail.html).to.not.match(/\bsrc=|url\(|@import|<link/i);
  });

  const injections = [
    'Ada\r\nBcc: victim@example.test',
    'Ada\nBcc: victim@example.test',
    'Ada\rBcc: victim@example.test',
    'Ada\u0085Bcc: victim@example.test',
    'Ada\u2028Bcc: victim@example.test',
    'Ada\u2029\u000b\u000cBcc: victim@example.test',
    'Ada%0d%0aBcc: victim@example.test',
    '=?utf-8?Q?Ada=0D=0ABcc=3A_victim@example.test?=',
    '=?utf-8?B?QWRhDQpCY2M6IHZpY3RpbQ==?= x',
    'Ada\0\x1b[31m\x7f\u009b31m',
    '\ud800Ada\udc00',
    '"Ada" <victim@example.test>, victim2@example.test',
    '\u202egnp.adA\u2066\u200b\ufeff',
    'Ada\r\n\r\n<html>',
    'A'.repeat(5_000),
    'é'.repeat(5_000),
    '😀'.repeat(5_000),
    '👩‍👩‍👧‍👦'.repeat(500),
    `${'a'.repeat(119)}😀`,
    ' '.repeat(5_000),
  ];
  it("keeps visitors' text out of headers, except a short subject", async () => {
    const expected = (await sent(composeNotification(templates, envelope, message))).names.sort();
    for (const text of injections) {
      const mail = composeNotification(templates, envelope, {
        ...message,
        sender: { address: 'ada@engine.example', name: text },
        subject: text,
        message: text,
        extra: [{ name: text, value: text }],
      });
      const { parsed, names, head, raw, smtp } = await sent(mail);
      const hint = JSON.stringify(text.slice(0, 40));

      expect(names.sort(), hint).to.deep.equal(expected);
      expect(smtp.to, hint).to.deep.equal(['owner@example.test']);
      expect(parsed.to, hint).to.deep.equal([{ name: '', address: 'owner@example.test' }]);
      expect(parsed.bcc, hint).to.equal(undefined);
      expect(parsed.subject, hint).to.equal(mail.subject);
      expect(mail.subject.isWellFormed(), hint).to.equal(true);
      expect(mail.subject, hint).to.match(/^New message from \S.* \[RW-7K3M9QX2TA\]$/u);
      expect(mail.subject, hint).to.not.match(/(?!\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(mail.subject.length, hint).to.be.at.most(200);
      if (text.isWellFormed()) expect(mail.subject, hint).to.not.include('\ufffd');
      if (text.trim().length > 120) expect(mail.subject, hint).to.match(/… \[/);
      for (const line of head.split('\r\n')) expect(line.length, hint).to.be.below(998);
      for (const line of raw.toString('latin1').split('\r\n')) expect(line.length, hint).to.be.below(998);
      expect(raw.toString('latin1'), `${hint}: a line that ends without CR`).to.not.match(/(?<!\r)\n/);
    }
  });

  it('keeps the spelling of every script, and no invisible characters, in one line', async () => {
    const spelled = [
      'علی\u200cرضا',
      'می\u200cخواهم',
      'ක්\u200dරි',
      'क\u094d\u200dष',
      'ର\u0b4d\u200cବ',
      '👨\u200d👩\u200d👧',
      '🧑🏽\u200d💻',
      '❤\ufe0f\u200d🔥',
      '葛\u{e0100}城',
      '\u0600١',
    ];
    const cleaned = [
      ['Ada\u200b\u2060\ufeff\u00adB', 'AdaB'],
      ['\u202eA\u2066d\u2069a\u061c\u200e\u200f', 'Ada'],
      ['\u200cA\u200d B\u200d', 'A B'],
      ['A\u200d1\u200c2', 'A12'],
      ['علی\u200c\u200b\u200dرضا', 'علی\u200cرضا'],
      ['A\u034f\u115f\u3164\uffa0\u{e0041}\u180e\ufff9B', 'AB'],
      ['A\u0007B\u2028C', 'A B C'],
      ['=\u200b?utf-8?', '= ?utf-8?'],
    ] as const;
    for (const [given, expected] of [...spelled.map((it) => [it, it]), ...cleaned] as [string, string][]) {
      const mail = composeNotification(templates, envelope, {
        ...message,
        sender: { address: 'ada@engine.example', name: given },
        subject: given,
        extra: [{ name: given, value: 'x' }],
      });
      const { parsed } = await sent(mail);
      expect(parsed.subject).to.equal(`New message from ${expected} [RW-7K3M9QX2TA]`);
      expect(mail.text).to.include(`Subject:  ${expected}\n`).and.include(`\n${expected}: x\n`);
    }
  });

  it('keeps the lines of a message and drops its control characters', () => {
    const mail = composeNotification(templates, envelope, {
      ...message,
      message: 'a\r\nb\rc\u2028d\te\0\x1b[31m\u009b\ud800f',
    });

    expect(mail.text).to.include('\na\nb\nc\nd\te[31m\ufffdf\n');
  });

  it('leaves out a Reply-To that is not one plain address', async () => {
    for (const address of ['a@b.test, c@d.test', 'ädä@engine.example', '"x y"@b.test', 'Ada <ada@engine.example>']) {
      const { names, smtp } = await sent(composeNotification(templates, envelope, { ...message, sender: { address } }));

      expect(names).to.not.include('reply-to');
      expect(smtp.to).to.deep.equal(['owner@example.test']);
    }
  });

  it('is the same for the same message', () => {
    expect(composeNotification(templates, envelope, message)).to.deep.equal(
      composeNotification(templates, envelope, message),
    );
  });
});

describe('text parts', () => {
  it('have no empty blocks and no spaces at the end of a line', () => {
    const at = { receivedAt: message.receivedAt, publicUrl: 'https://forms.example.test' };
    const people = [
      ['', ''],
      ['Ada', ''],
      ['', 'ada@example.test'],
    ] as const;
    const messages = people.map(([name, address], index) => ({ ...at, receipt: `RW-${index}`, name, address }));
    const digest = { ...at, count: 4, formSlug: 'rsvp', messages };
    const held = people.map(([name, address]) => ({
      ...at,
      receipt: 'RW-1',
      formSlug: 'a',
      reasons: 'b',
      name,
      address,
    }));
    const summary = held.map(({ name, address, ...it }) => ({ ...it, written: { name, address, text: '' } }));
    for (const { text } of [
      composeNotification(templates, envelope, { ...message, extra: [] }),
      composeNotification(templates, envelope, { ...message, message: '', extra: [] }),
      composeDigest(templates, envelope, digest),
      composeHeldSummary(templates, envelope, { ...at, count: 3, since: at.receivedAt, messages: summary }),
    ]) {
      expect(text)
        .to.not.match(/[ \t]$/m)
        .and.not.match(/\n{4}|-\n\n\n|-\n\n-/);
    }
  });
});

describe('the summary', () => {
  const summaryOf = (written: { name: string; address: string; text: string }) =>
    composeHeldSummary(templates, envelope, {
      count: 1,
      since: message.receivedAt,
      messages: [
        { receipt: 'RW-7K3M9QX2TA', formSlug: 'contact', receivedAt: message.receivedAt, reasons: '', written },
      ],
      publicUrl: 'https://forms.own.test',
    });

  for (const [text, shown] of [
    ['https://evil.example/x', 'evil[.]example/x'],
    ['HTTP://evil.example', 'evil[.]example'],
    ['hxhttps://http://evil.example', 'evil[.]example'],
    ['http:evil.example', 'http: evil[.]example'],
    ['http:\\\\evil.example', 'evil[.]example'],
    ['www.evil.example:8080', 'www[.]evil[.]example: 8080'],
    ['http://203.0.113.7/x 203.0.113.7', '203[.]0[.]113[.]7/x 203[.]0[.]113[.]7'],
    ['http://[::1]/x http://localhost', '[::1]/x localhost'],
    ['evil\u3002example evil\uff0eexample', 'evil[\u3002]example evil[\uff0e]example'],
    ['しています。自転車も｡はい', 'しています。自転車も｡はい'],
    ['悪。example 悪．xn--p1ai', '悪[。]example 悪[．]xn--p1ai'],
    ['evil.\u200bexample ev\u200bil.example', 'evil[.]example evil[.]example'],
    ['\u2764.example cafe\u0301.example', '\u2764[.]example cafe\u0301[.]example'],
    ['mailto:x@evil.example', 'mailto: x@evil[.]example'],
    ['1.evil.example www.1evil.example', '1[.]evil[.]example www[.]1evil[.]example'],
    ['At 10:30 for 3.50 each. Yes... really', 'At 10:30 for 3.50 each. Yes... really'],
    ['<a href="https://evil.example">x</a>', '<a href="evil[.]example">x</a>'],
  ] as const) {
    it(`shows ${JSON.stringify(text)} without a link, in both parts`, () => {
      const { text: plain, html } = summaryOf({ name: text, address: '', text });
      expect(plain).to.include(`\n${shown}\n  "${shown}"\n`);
      const asText = html.replace(/<\/?span>/g, '');
      expect(asText)
        .to.include(`>“${escapeHtml(shown)}”`)
        .and.include(`<bdi>${escapeHtml(shown)}</bdi></b>`);
      expect(html.match(/href="[^"]*"/g)).to.deep.equal(['href="https://forms.own.test/"']);
    });
  }

  it('shows an address to recognise it, but not one that looks like a web address', () => {
    for (const [address, shown] of [
      ['first.last+tag@mail.example', '‹first.last+tag@mail.example›'],
      ['evil.example/buy@mail.example', '‹evil[.]example/buy@mail[.]example›'],
    ] as const) {
      expect(summaryOf({ name: 'Ada', address, text: 'x' }).text).to.include(`\nAda ${shown}\n`);
    }
  });

  it('shows the first 80 characters', () => {
    expect(summaryOf({ name: '', address: '', text: `${'x'.repeat(80)}yz` }).text).to.include(`"${'x'.repeat(80)}…"`);
  });

  it('of 50 messages is one that Gmail does not cut', () => {
    const item = {
      ...{ receipt: 'RW-7K3M9QX2TA', formSlug: 'contact', receivedAt: message.receivedAt, reasons: 'many links' },
      written: { name: 'Ada Lovelace', address: 'ada@engine.example', text: 'See https://engine.example. '.repeat(9) },
      releaseUrl: `https://forms.own.test/release?token=${'t'.repeat(130)}`,
    };
    const { html } = composeHeldSummary(templates, envelope, {
      ...{ count: 50, since: message.receivedAt, linkDays: 14, publicUrl: 'https://forms.own.test' },
      messages: Array.from({ length: 50 }, () => item),
    });
    expect(html.length).to.be.below(102_000);
  });
});

describe('the summary and the test mail', () => {
  it('suppress automatic replies except non-delivery reports', async () => {
    const publicUrl = 'https://forms.example.test';
    const summary = { count: 0, since: message.receivedAt, messages: [], publicUrl };
    for (const mail of [composeHeldSummary(templates, envelope, summary), composeTest(envelope, { publicUrl })]) {
      const { header } = await sent(mail);
      expect(header('auto-submitted')).to.equal('auto-generated');
      expect(header('x-auto-response-suppress')).to.equal('DR, RN, NRN, OOF, AutoReply');
    }
  });
});

describe('the auto-reply', () => {
  const own: Envelope = { ...envelope, to: 'ada@engine.example', replyTo: 'owner@example.test' };

  it('confirms the message to the address that was given', async () => {
    const mail = composeAutoReply(templates, own, reply);
    const { parsed, header, smtp } = await sent(mail);

    expect(smtp.to).to.deep.equal(['ada@engine.example']);
    expect(parsed.subject).to.equal('Example Studio received your message [RW-7K3M9QX2TA]');
    expect(header('reply-to')).to.equal('owner@example.test');
    expect(header('auto-submitted')).to.equal('auto-replied');
    expect(header('x-auto-response-suppress')).to.equal('All');
    expect(header('precedence')).to.equal('auto_reply');
    expect(header('list-unsubscribe')).to.equal('<https://forms.example.test/unsubscribe/0193?t=abc>');
    expect(header('list-unsubscribe-post')).to.equal('List-Unsubscribe=One-Click');
    expect(parsed.text)
      .to.include('22 November 2026 at 07:33 UTC')
      .and.to.include('RW-7K3M9QX2TA')
      .and.to.include('/unsubscribe/0193?t=abc');
    expect(parsed.html?.match(/href="[^"]*"/g)).to.deep.equal([
      'href="https://www.example.test/"',
      'href="https://forms.example.test/unsubscribe/0193?t=abc"',
    ]);
  });

  it('is written in German', () => {
    const { subject, text, html } = composeAutoReply(templates, own, { ...reply, language: 'de' });
    expect(subject).to.equal('Example Studio hat Ihre Nachricht erhalten [RW-7K3M9QX2TA]');
    expect(text).to.equal(`Vielen Dank für Ihre Nachricht

Sie ist am 22. November 2026 um 07:33 UTC bei Example Studio eingegangen.
Wir lesen jede Nachricht selbst. Falls eine Antwort nötig ist, schreiben
wir an diese Adresse.

Ihre Vorgangsnummer: RW-7K3M9QX2TA
Bitte geben Sie diese Nummer an, wenn Sie noch einmal schreiben.

https://www.example.test/

----------------------------------------------------------------------
Diese Bestätigung wurde automatisch gesendet, weil diese Adresse in
ein Formular eingetragen wurde. Falls Sie das nicht waren, hat sich
vermutlich jemand vertippt, und Sie müssen nichts tun.

Keine Bestätigungen mehr an diese Adresse senden:
https://forms.example.test/unsubscribe/0193?t=abc
`);
    expect(html)
      .to.include('<html lang="de"')
      .and.not.match(/\{\w+\}|undefined/);
  });

  it('says what it said before there were languages', () => {
    expect(composeAutoReply(templates, own, reply).text).to.equal(`Thank you for your message

It reached Example Studio on 22 November 2026 at 07:33 UTC.
A person will read it. If it needs a reply, we will write to this address.

Your receipt: RW-7K3M9QX2TA
Please quote it if you write again.

https://www.example.test/

----------------------------------------------------------------------
This confirmation was sent automatically, because this address was
entered in the contact form. If that was not you, somebody mistyped
their address, and you need not do anything.

Stop sending confirmations to this address:
https://forms.example.test/unsubscribe/0193?t=abc
`);
  });

  it('has no unsubscribe link without an unsubscribe URL', async () => {
    const { unsubscribeUrl, ...without } = reply;
    const { names, parsed } = await sent(composeAutoReply(templates, own, without));

    expect(unsubscribeUrl).to.not.equal(undefined);
    expect(names).to.not.include('list-unsubscribe').and.to.not.include('list-unsubscribe-post');
    expect(parsed.text).to.not.match(/never/i);
    expect(parsed.html).to.not.match(/never/i);
  });

  it('without https has the link but no one-click button', async () => {
    const unsubscribeUrl = 'http://forms.example.test/unsubscribe/0193?t=abc';
    const { header, names, parsed } = await sent(composeAutoReply(templates, own, { ...reply, unsubscribeUrl }));

    expect(header('list-unsubscribe')).to.equal(`<${unsubscribeUrl}>`);
    expect(names).to.not.include('list-unsubscribe-post');
    expect(parsed.text).to.include(unsubscribeUrl);
  });

  it('contains nothing that a visitor wrote, even if it is passed in', async () => {
    const canaries = {
      name: 'CANARY-1',
      message: 'CANARY-2',
      subject: 'CANARY-3',
      sender: { name: 'CANARY-4', address: 'CANARY-5@x.test' },
      extra: [{ name: 'CANARY-6', value: 'CANARY-7' }],
    };
    const mail = composeAutoReply(templates, own, { ...reply, ...canaries } as AutoReplyContent);

    expect(mail).to.deep.equal(composeAutoReply(templates, own, reply));
    expect((await sent(mail)).raw.toString('latin1')).to.not.include('CANARY');
  });

  it('accepts only web addresses as links', () => {
    expect(() => composeAutoReply(templates, own, { ...reply, unsubscribeUrl: 'javascript:alert(1)' })).to.throw(
      TypeError,
    );
    expect(() => composeAutoReply(templates, own, { ...reply, siteUrl: 'not an address' })).to.throw(TypeError);
  });

  it('keeps a long unsubscribe URL in one header line', async () => {
    const unsubscribeUrl = `https://forms.example.test/unsubscribe/${'a'.repeat(400)}`;
    const { header, head } = await sent(composeAutoReply(templates, own, { ...reply, unsubscribeUrl }));

    expect(header('list-unsubscribe')).to.equal(`<${unsubscribeUrl}>`);
    for (const line of head.split('\r\n')) expect(line.length).to.be.below(998);
  });
});
