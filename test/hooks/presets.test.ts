import { expect } from 'chai';
import type { Notice } from '../../src/hooks/notice.ts';
import { presetRequest } from '../../src/hooks/presets.ts';
import type { HookKind } from '../../src/words.ts';

const urls = {
  slack: 'https://hooks.slack.com/services/T000/B000/XXX',
  discord: 'https://discord.com/api/webhooks/1/abc?thread_id=9',
  telegram: 'https://api.telegram.org/bot1:A/sendMessage?chat_id=-100&message_thread_id=7&parse_mode=HTML',
  ntfy: 'https://ntfy.sh/mytopic?auth=QmVhcmVy',
  apprise: 'https://apprise.example.com/notify/key?tag=a',
} satisfies Partial<Record<HookKind, string>>;
type Preset = keyof typeof urls;
const presets = Object.keys(urls) as Preset[];

const show = (kind: Preset, notice: Notice) => {
  const { url, headers, body } = presetRequest(kind, urls[kind], notice);
  expect(headers).to.deep.equal({ 'Content-Type': 'application/json' });
  return { url, content: JSON.parse(body) };
};

const plain: Notice = { title: 'Low disk space alert', lines: ['Disk space is low', 'ruffinweb health'], urgent: true };

const tricks = [
  '@everyone @here @channel @jane <!channel> <!here> <@U1> <@&5> <#C1> <https://evil.example|bank> [bank](https://evil.example)',
  '<b>x</b> <a href="https://evil.example">bank</a> *b* _i_ ~s~ `c` ```',
  '```\\** ||x|| # h\n> q\n- l\n1. n :smile: /start #tag https://evil.example &amp; \u202e\0\x1b[31m',
  'jane@example.com costs a < b && b > a',
];

describe('presets', () => {
  it('write what each service documents', () => {
    const text = 'Disk space is low\nruffinweb health';
    const block = (type: string, it: string) => ({ type, text: { type: 'plain_text', text: it, emoji: false } });
    // https://docs.slack.dev/reference/block-kit/composition-objects/text-object
    expect(show('slack', plain)).to.deep.equal({
      url: urls.slack,
      content: {
        text: plain.title,
        mrkdwn: false,
        unfurl_links: false,
        blocks: [block('header', plain.title), block('section', text)],
      },
    });
    // https://docs.discord.com/developers/resources/webhook#execute-webhook
    expect(show('discord', plain)).to.deep.equal({
      url: `${urls.discord}&wait=true`,
      content: { content: `**${plain.title}**\n${text}`, allowed_mentions: { parse: [] }, flags: 4 },
    });
    const all = `${plain.title}\n${text}`;
    // https://core.telegram.org/bots/api#sendmessage
    expect(show('telegram', plain)).to.deep.equal({
      url: 'https://api.telegram.org/bot1:A/sendMessage',
      content: {
        chat_id: '-100',
        message_thread_id: '7',
        text: all,
        entities: [{ type: 'pre', offset: 0, length: all.length }],
      },
    });
    // https://docs.ntfy.sh/publish/#publish-as-json
    expect(show('ntfy', plain)).to.deep.equal({
      url: 'https://ntfy.sh/?auth=QmVhcmVy',
      content: { topic: 'mytopic', title: plain.title, message: text, priority: 4, tags: ['rotating_light'] },
    });
    // https://github.com/caronc/apprise-api#api-details
    expect(show('apprise', plain)).to.deep.equal({
      url: urls.apprise,
      content: { title: plain.title, body: text, type: 'warning', format: 'text' },
    });
  });

  it('show less for a notice that is not urgent, or has no lines', () => {
    const calm: Notice = { title: 'Hello', lines: [] };
    expect(show('slack', calm).content.blocks).to.have.length(1);
    expect(show('discord', calm).content.content.trim()).to.equal('**Hello**');
    expect(show('telegram', calm).content.text).to.equal('Hello');
    expect(show('ntfy', calm).content).to.deep.equal({ topic: 'mytopic', title: 'Hello', message: 'Hello' });
    expect(show('apprise', calm).content).to.include({ body: 'Hello', type: 'info' });
  });

  it('leave text from visitors no mention, link, format or way out', () => {
    const notice = { title: tricks.join(' '), lines: tricks };
    const slack = JSON.stringify(show('slack', notice).content);
    expect(slack).to.not.match(/[<>]|mrkdwn":true|"mrkdwn"[,}]/);
    expect(slack).to.include('&lt;!channel&gt;').and.include('&amp;amp;');

    const discord: string = show('discord', notice).content.content;
    expect(discord.replace(/^\*\*|\*\*$/gm, '')).to.not.match(/(?<!\\)(\\\\)*[!-/:-@[-`{-~](?<!\\)/);
    expect(discord).to.include(String.raw`\@everyone`).and.include(String.raw`\[bank\]\(https\:\/\/evil\.example\)`);
    const read = discord.replace(/^\*\*|\*\*$/gm, '').replace(/\\([!-/:-@[-`{-~])/g, '$1');
    expect(read).to.include(tricks[0]).and.include('jane@example.com costs a < b && b > a');

    const { text, entities, parse_mode } = show('telegram', notice).content;
    expect({ entities, parse_mode }).to.deep.equal({
      entities: [{ type: 'pre', offset: 0, length: text.length }],
      parse_mode: undefined,
    });

    const ntfy = show('ntfy', notice).content;
    expect(Object.keys(ntfy)).to.have.members(['topic', 'title', 'message']);

    const apprise = JSON.stringify(show('apprise', notice).content);
    expect(apprise).to.not.match(/(?<!\w)@|<[!@#:/a-z]|\]\(/i);
    expect(apprise).to.include('jane@example.com costs a < b && b > a');

    for (const kind of presets) expect(JSON.stringify(show(kind, notice)), kind).to.not.match(/\\u00|\u202e/);
  });

  it('cut text at the limit of the service, and never inside an escape or a character', () => {
    const samples = ['&'.repeat(20_000), '世'.repeat(20_000), '🌊'.repeat(20_000), '*a'.repeat(9000)];
    for (const sample of samples) {
      const notice = { title: sample, lines: [sample, sample] };
      const { text, blocks } = show('slack', notice).content;
      expect(text.length).to.be.within(100, 3000);
      expect(blocks[0].text.text.length).to.be.within(140, 150);
      expect(blocks[1].text.text.length).to.be.within(2990, 3000);
      expect(blocks[1].text.text).to.match(/^((&amp;)+|世+|(🌊)+|[*a]+)…$/u);
      const { content } = show('discord', notice).content;
      expect(content.length).to.be.within(1900, 2000);
      expect(content).to.match(/^\*\*(.+)…\*\*\n((\\&)+|世+|(🌊)+|(\\\*a?)*|(a\\\*)*)…$/u);
      const telegram = show('telegram', notice).content;
      expect(telegram.text.length).to.be.within(4000, 4096);
      const { message, title } = show('ntfy', notice).content;
      expect(Buffer.byteLength(message)).to.be.within(4080, 4096);
      expect(title.length).to.be.at.most(250);
      for (const it of [text, content, telegram.text, message]) expect(it.isWellFormed()).to.equal(true);
    }
    // ntfy refuses a longer body, and each of these has two bytes in it.
    const quotes = { title: '"'.repeat(9000), lines: ['"\\'.repeat(9000)] };
    expect(Buffer.byteLength(presetRequest('ntfy', urls.ntfy, quotes).body)).to.be.within(4000, 8192);
  });
});
