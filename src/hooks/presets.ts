import { plainLine } from '../plain-line.ts';
import type { PresetKind } from '../words.ts';
import type { HookRequest } from './hook-sender.ts';
import type { Notice } from './notice.ts';

/** The notice in the incoming format of a service. Its text is shown as it is: no mention, link or format. */
export function presetRequest(kind: PresetKind, url: string, { title, lines, urgent = false }: Notice): HookRequest {
  const target = new URL(url);
  const text = lines.flatMap((it) => it.split(/[\r\n]+/)).map(plainLine);
  const content = presets[kind](target, plainLine(title), text.join('\n'), urgent);
  const headers = { 'Content-Type': 'application/json' };
  return { url: target.href, headers, body: JSON.stringify(content), address: url };
}

type Preset = (url: URL, title: string, text: string, urgent: boolean) => object;

const presets: Record<PresetKind, Preset> = {
  slack: (_url, title, text) => {
    const escapeText = (it: string) => it.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
    const plain = (it: string, max: number) => ({ type: 'plain_text', text: cut(it, max, escapeText), emoji: false });
    const sections = text === '' ? [] : [{ type: 'section', text: plain(text, 3000) }];
    const header = { type: 'header', text: plain(title, 150) };
    return { text: header.text.text, mrkdwn: false, unfurl_links: false, blocks: [header, ...sections] };
  },
  discord: (url, title, text) => {
    // Else Discord answers before it has stored the message.
    url.searchParams.set('wait', 'true');
    const escapeText = (it: string) => it.replace(/[!-/:-@[-`{-~]/g, String.raw`\$&`);
    const content = `**${cut(title, 500, escapeText)}**\n${cut(text, 1490, escapeText)}`;
    // Flag 4: no previews of links.
    return { content, allowed_mentions: { parse: [] }, flags: 4 };
  },
  telegram: (url, title, text) => {
    const parameters = Object.fromEntries(url.searchParams);
    url.search = '';
    const all = cut(`${title}\n${text}`.trim(), 4096);
    // Nothing inside a `pre` is a link, command or mention, and no text can end it.
    const entities = [{ type: 'pre', offset: 0, length: all.length }];
    return { ...parameters, parse_mode: undefined, text: all, entities };
  },
  ntfy: (url, title, text, urgent) => {
    const topic = url.pathname.slice(1);
    // JSON is posted to the root.
    url.pathname = '/';
    // It takes 4096 bytes of text, and 8192 of JSON: many quotes would exceed these.
    const message = cut(text || title, 4096, undefined, (it) => Buffer.byteLength(JSON.stringify(it)) - 2);
    const extras = urgent ? { priority: 4, tags: ['rotating_light'] } : {};
    return { topic, title: cut(title, 250), message, ...extras };
  },
  apprise: (_url, title, text, urgent) => {
    // Any service may stand behind it, so what is a mention or link in one of them is written differently.
    const defuse = (it: string) =>
      it
        .replace(/(?<!\w)@|@(?=everyone|here)/gi, '＠')
        .replace(/<(?=[!@#:/a-z])/gi, '‹')
        .replaceAll('](', '] (');
    return { title: defuse(title), body: defuse(text || title), type: urgent ? 'warning' : 'info', format: 'text' };
  },
};

/** Cuts text so that it fits when it is escaped, and never inside an escape. */
function cut(text: string, max: number, escapeText = (it: string) => it, size = (it: string) => it.length): string {
  let kept = '';
  let left = max - size('…');
  for (const char of text) {
    const escaped = escapeText(char);
    left -= size(escaped);
    if (left < 0) return `${kept}…`;
    kept += escaped;
  }
  return kept;
}
