import { escapeHtml as escapeMarkup } from '../../escape-html.ts';

/** A web address of our own. Only these may become links. */
export class WebAddress {
  readonly #href: string;

  constructor(address: string) {
    const url = new URL(address);
    if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new TypeError(`not a web address: ${address}`);
    this.#href = url.href;
  }

  get isSecure(): boolean {
    return this.#href.startsWith('https:');
  }

  toString(): string {
    return this.#href;
  }
}

/** Text that the operator wrote. Mail programs may make links of the addresses in it. */
export class OwnText extends String {}

/**
 * Escapes a value, and keeps mail programs from making links of anything but our own web addresses. They look for addresses
 * in runs of text, which a tag around one character breaks. Unlike an invisible character, the tag is not copied.
 */
export function escapeHtml(value: unknown): string {
  const text = value === null || value === undefined ? '' : String(value);
  const escaped = escapeMarkup(text);
  if (value instanceof WebAddress) return escaped;
  if (value instanceof OwnText) return escaped.replaceAll('\n', '<br>');
  return escaped
    .replace(
      /(?<=[^\s.])[.\u3002\uff0e\uff61](?=[\p{L}\p{N}])|(?<=[\p{L}\p{N}+.-])[:\uff1a](?=\S)|[@\uff20]/gu,
      '<span>$&</span>',
    )
    .replaceAll('\n', '<br>');
}
