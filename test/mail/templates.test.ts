import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { escapeHtml, WebAddress } from '../../src/mail/compose/html.ts';
import { TemplateFault } from '../../src/mail/compose/template-files.ts';
import { examples } from '../../src/mail/compose/template-variables.ts';
import { openTemplates } from '../../src/mail/compose/templates.ts';

const values = {
  ...{ language: 'en', t: examples['auto-reply'].t, own_subject: null, own_text: null },
  receipt: 'RW-1',
  site_name: 'Example',
  site_url: new WebAddress('https://example.com'),
  site_host: 'example.com',
  received_at: 'now',
  unsubscribe_url: null,
};

describe('templates', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'templates-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  async function fault(files: Record<string, string | Buffer>): Promise<string> {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    try {
      openTemplates({ overrideFolder: folder });
    } catch (error) {
      expect(error).to.be.instanceOf(TemplateFault);
      return (error as Error).message;
    }
    throw new Error('no fault was found');
  }

  it("prefer the operator's files, and need no folder", async () => {
    await writeFile(join(folder, 'auto-reply.subject.liquid'), 'Mine: {{ receipt }}');
    await writeFile(join(folder, 'readme.txt'), 'not a template');

    const templates = openTemplates({ overrideFolder: folder });

    expect(templates.render('auto-reply', values).subject).to.equal('Mine: RW-1');
    expect(templates.files.get('auto-reply.subject.liquid')).to.equal(join(folder, 'auto-reply.subject.liquid'));
    expect(templates.files.get('auto-reply.html.liquid')).to.match(
      /src.mail.compose.templates.auto-reply\.html\.liquid$/,
    );
    openTemplates({ overrideFolder: join(folder, 'not-there') });
    openTemplates();
  });

  it('write times in the zone of the installation', () => {
    const [winter, summer] = [new Date('2026-01-31T23:05:00Z'), new Date('2026-07-31T23:05:00Z')];
    const written: [zone: string | undefined, winter: string, summer: string][] = [
      [undefined, '31 January 2026 at 23:05 UTC', '31 July 2026 at 23:05 UTC'],
      ['Europe/Berlin', '1 February 2026 at 00:05 CET', '1 August 2026 at 01:05 CEST'],
      ['America/New_York', '31 January 2026 at 18:05 GMT-5', '31 July 2026 at 19:05 GMT-4'],
      ['Asia/Kolkata', '1 February 2026 at 04:35 GMT+5:30', '1 August 2026 at 04:35 GMT+5:30'],
    ];
    const { writeTime: inZone } = openTemplates({ timeZone: 'Europe/Berlin' });
    expect([inZone(winter, 'de'), inZone(summer, 'de')]).to.deep.equal([
      '1. Februar 2026 um 00:05 MEZ',
      '1. August 2026 um 01:05 MESZ',
    ]);
    for (const [zone, ...texts] of written) {
      const { writeTime } = openTemplates(zone === undefined ? {} : { timeZone: zone });
      expect([writeTime(winter), writeTime(summer)]).to.deep.equal(texts);
    }
  });

  it('are a fault if their folder cannot be read', async () => {
    await writeFile(join(folder, 'file'), '');
    expect(() => openTemplates({ overrideFolder: join(folder, 'file', 'templates') })).to.throw(TemplateFault);
  });

  it('may begin with a byte order mark and have lines that end in CRLF', async () => {
    await writeFile(
      join(folder, 'auto-reply.subject.liquid'),
      '\uFEFF{% if receipt %}\r\nMine: {{ receipt }}{% endif %}\r\n',
    );
    await writeFile(join(folder, 'auto-reply.text.liquid'), '\uFEFFOne\r\n{% render "_two.liquid" %}\r\n');
    await writeFile(join(folder, '_two.liquid'), '\uFEFFTwo\r\n');
    const { subject, text } = openTemplates({ overrideFolder: folder }).render('auto-reply', values);
    expect([subject, text.trimEnd()]).to.deep.equal(['Mine: RW-1', 'One\nTwo']);
    expect(await fault({ '_two.liquid': Buffer.from('a\nGrüße', 'latin1') })).to.equal(
      `${join(folder, '_two.liquid')}, line 2: is not UTF-8; save the file as UTF-8`,
    );
    expect(await fault({ '_two.liquid': Buffer.from('\uFEFFTwo', 'utf16le') })).to.include('line 1: is UTF-16');
  });

  it('let the operator change only the layout, and use partials', async () => {
    await writeFile(
      join(folder, 'layout.html.liquid'),
      '<html>{% render "_logo.liquid" %}{% block content %}{% endblock %}</html>',
    );
    await writeFile(join(folder, '_logo.liquid'), '<b>ACME</b>');

    const { html } = openTemplates({ overrideFolder: folder }).render('auto-reply', values);

    expect(html).to.match(/^<html><b>ACME<\/b>[\s\S]*Thank you for your message[\s\S]*<\/html>\s*$/);
  });

  it('of a form are for that form only, and go before the general ones', async () => {
    for (const name of ['shop', 'later-form', '.git']) await mkdir(join(folder, name));
    await writeFile(join(folder, '.git', 'nonsense.liquid'), '{{ nothing }}');
    await writeFile(join(folder, 'shop', 'auto-reply.text.liquid'), '{% render "_sign.liquid" %} {{ t.thanks }}');
    await writeFile(join(folder, 'shop', 'readme.md'), 'no template');
    await writeFile(join(folder, '_sign.liquid'), 'General');
    await writeFile(join(folder, 'auto-reply.subject.liquid'), 'For all {{ receipt }}');

    const templates = openTemplates({ overrideFolder: folder });
    const render = (slug: string) => templates.of(slug).render('auto-reply', values);
    expect(render('shop')).to.include({ subject: 'For all RW-1', text: 'General Thank you for your message\n' });
    expect(render('other')).to.deep.equal(templates.render('auto-reply', values));
    expect(render('later-form').text).to.include('Please quote it');

    await writeFile(join(folder, 'shop', '_sign.liquid'), 'Shop');
    expect(openTemplates({ overrideFolder: folder }).of('shop').render('auto-reply', values).text).to.match(/^Shop /);
  });

  for (const [place, text, words] of [
    ['shop/auto-reply.txt.liquid', '', /shop.auto-reply\.txt\.liquid: there is no template with this name; there are/],
    ['shop/held-summary.text.liquid', '', /shop.held-summary\.text\.liquid: there is no template with this name/],
    [
      'shop/auto-reply.text.liquid',
      'a\n{{ message }}',
      /shop.auto-reply\.text\.liquid, line 2: unknown variable "message"/,
    ],
    ['shop/_part.liquid', '{% if %}', /no fault was found/],
    [
      'shop/auto-reply.text.liquid',
      '{% if language == "de" %}{{ t.nothing }}{% endif %}',
      /undefined variable: t\.nothing/,
    ],
    ['My Shop/auto-reply.text.liquid', 'a', /My Shop: not the slug of a form; name the folder after a form/],
    ['Shop/auto-reply.text.liquid', 'a', /Shop: not the slug of a form/],
  ] as const) {
    it(`of a form are checked at start: ${place} with ${JSON.stringify(text)}`, async () => {
      await mkdir(join(folder, place.split('/')[0] ?? ''));
      expect(await fault({ [place]: text }).catch((error) => error.message)).to.match(words);
    });
  }

  it('from before there were languages and labels work unchanged', async () => {
    const before = {
      'notification.subject.liquid': 'New message from {{ sender }} [{{ receipt }}]',
      'notification.text.liquid': `{{ sender }}{% if sender_name %}, {{ sender_name }}{% endif %}{% if subject %}: {{ subject }}{% endif %}
{{ message }}{% for field in extra %}
{{ field.name }}: {{ field.value }}{% endfor %}`,
      'layout.html.liquid': '<html lang="en">{% block content %}{% endblock %}</html>',
    };
    for (const [name, text] of Object.entries(before)) await writeFile(join(folder, name), text);
    const { render } = openTemplates({ overrideFolder: folder });
    const given = { ...examples.notification, own_subject: null };
    expect(render('notification', given)).to.include({
      subject: 'New message from Ada [RW-0000000000]',
      text: 'Ada, Ada: Hello\nHello,\nhow are you?\nCompany: Engines\n',
    });
    const nothing = {
      ...given,
      sender: 'Somebody',
      sender_name: null,
      sender_address: null,
      subject: null,
      message: null,
    };
    expect(render('notification', nothing).text).to.equal('Somebody\n\nCompany: Engines\n');
  });

  it('name the file and line of a syntax error', async () => {
    const message = await fault({ 'auto-reply.text.liquid': 'Hello\n\n{% if receipt %}\nno end' });

    expect(message).to.include(`${join(folder, 'auto-reply.text.liquid')}, line 3: `);
    expect(message).to.match(/not closed/);
  });

  it('name the file and line of a loop without an end', async () => {
    expect(await fault({ 'auto-reply.text.liquid': '\n{% for i in (1..999999999) %}x{% endfor %}' })).to.match(
      /auto-reply\.text\.liquid, line 2: memory alloc limit exceeded/,
    );
  });

  it('name file, line and valid names for an unknown variable', async () => {
    const message = await fault({
      'auto-reply.html.liquid': '<p>\n{% if unsubscribe_url == "never" %}{{ message }}{% endif %}</p>',
    });

    expect(message).to.equal(
      `${join(folder, 'auto-reply.html.liquid')}, line 2: unknown variable "message"; a template of auto-reply may use language, t, own_subject, own_text, receipt, site_name, site_url, site_host, received_at, unsubscribe_url`,
    );
  });

  it('name file and line of an unknown property, filter or file', async () => {
    expect(
      await fault({ 'notification.text.liquid': '\n{% for field in extra %}{{ field.nmae }}{% endfor %}' }),
    ).to.match(/notification\.text\.liquid, line 2: undefined variable: field\.nmae/);
    expect(await fault({ 'notification.text.liquid': '{{ receipt | shout }}' })).to.match(
      /notification\.text\.liquid, line 1: undefined filter: shout/,
    );
    expect(await fault({ 'notification.text.liquid': 'a\n{% render "_not-there.liquid" %}' })).to.match(
      /notification\.text\.liquid.*_not-there\.liquid/,
    );
    await rm(join(folder, 'notification.text.liquid'));
    expect(await fault({ 'layout.html.liquid': '\n\n{{ colour }}' })).to.include(
      `${join(folder, 'layout.html.liquid')}, line 3: unknown variable "colour"`,
    );
  });

  it("report a file whose name is no template's", async () => {
    const message = await fault({ 'notificaton.html.liquid': 'Hello' });

    expect(message).to.match(
      /notificaton\.html\.liquid: there is no template with this name; there are .*notification\.html\.liquid/,
    );
  });

  it('report a template or folder that cannot be read', async () => {
    await mkdir(join(folder, 'auto-reply.html.liquid'));
    expect(await fault({})).to.match(/auto-reply\.html\.liquid: cannot be read/);
    await writeFile(join(folder, 'file'), '');
    expect(() => openTemplates({ overrideFolder: join(folder, 'file') })).to.throw(TemplateFault, /cannot be read/);
  });

  it('cannot read files other than templates', async () => {
    for (const name of ['/etc/passwd', '../../../../etc/passwd', `${folder}/secret`, 'constructor', '__proto__']) {
      await writeFile(join(folder, 'secret'), 'do not show');
      expect(await fault({ 'auto-reply.text.liquid': `{% include "${name}" %}` }), name).to.match(
        /auto-reply\.text\.liquid/,
      );
    }
  });

  it('cannot turn off the escaping', async () => {
    expect(await fault({ 'auto-reply.html.liquid': '{{ receipt | raw }}' })).to.match(/line 1: undefined filter: raw/);
  });

  it('escape everything that they print in HTML', async () => {
    await writeFile(
      join(folder, 'auto-reply.html.liquid'),
      '{{ site_name | replace: "!", "<i>" }}{% assign name = site_name %}{% echo name %}{% cycle name, "b" %}',
    );
    const { html } = openTemplates({ overrideFolder: folder }).render('auto-reply', { ...values, site_name: '<b>!' });

    expect(html).to.equal('&lt;b&gt;&lt;i&gt;&lt;b&gt;!&lt;b&gt;!');
  });
});

describe('escapeHtml', () => {
  const copied = (html: string) =>
    html
      .replaceAll('<br>', '\n')
      .replace(/<\/?span>/g, '')
      .replace(
        /&(amp|lt|gt|#34|#39);/g,
        (_, name) => ({ amp: '&', lt: '<', gt: '>', '#34': '"', '#39': "'" })[name as string] ?? '',
      );
  const runs = (html: string) => html.split(/<[^>]*>/);
  const linkLike = /[a-z]+:\S|www\.|[\p{L}\p{N}]\.[\p{L}]{2}|\S@\S/iu;

  for (const text of [
    'https://example.com/a?b=c&d=e#f',
    'http://1.2.3.4:8080/x',
    'www.example.com',
    'example.com/path',
    'ada@example.com',
    'mailto:ada@example.com',
    'tel:+4912345 javascript:alert(1)',
    'HTTPS://EXAMPLE.COM',
    'exämple.com 例え。テスト x．com',
    'https\uff1a//example\uff0ecom',
    'see (https://example.com), "https://example.com".',
    'a\n\n b & <script>alert("x")</script>',
  ]) {
    it(`leaves no link, and no trace in copied text, of ${JSON.stringify(text)}`, () => {
      const html = escapeHtml(text);

      for (const run of runs(html)) expect(run.replace(/&[a-z#0-9]+;/g, ' ')).to.not.match(linkLike);
      expect(copied(html)).to.equal(text);
      expect(html.replaceAll(/<\/?span>|<br>/g, '')).to.not.match(/[<>"']/);
    });
  }

  it('prints our own web addresses unchanged', () => {
    expect(escapeHtml(new WebAddress('https://example.com/?a=1&b="'))).to.equal('https://example.com/?a=1&amp;b=%22');
    expect(() => new WebAddress('javascript:alert(1)')).to.throw(TypeError);
  });

  it('is fast', () => {
    const before = process.cpuUsage();
    for (const text of ['a.', '.', ':', '@', 'a:', '<', 'a'.repeat(9)]) escapeHtml(text.repeat(10_000));
    const { user, system } = process.cpuUsage(before);
    expect(user + system, 'microseconds').to.be.below(500_000);
  });
});
