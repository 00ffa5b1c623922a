const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

/** A loop, because a stranger may send 64 KiB of `&`: `replace` with a callback takes four times as long. */
export function escapeHtml(text: string): string {
  let escaped = '';
  let copiedTo = 0;
  for (let i = 0; i < text.length; i++) {
    const entity = entities[text.charAt(i)];
    if (entity === undefined) continue;
    escaped += text.slice(copiedTo, i) + entity;
    copiedTo = i + 1;
  }
  return escaped + text.slice(copiedTo);
}
