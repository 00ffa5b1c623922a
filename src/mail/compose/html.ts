import { escapeHtml as escapeMarkup } from '../../escape-html.ts';

/** A web address of our own: printed as it is, where every other text is kept from becoming a link. */
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

/**
 * Escapes and, except for our own web addresses, takes care that no mail program makes a link of it.
 *
 * Many programs turn anything that looks like an address of a page or a mailbox into a link. They look
 * at runs of text, so a tag around the decisive character breaks the run. It leaves no trace when the
 * text is copied, which an invisible character would.
 */
export function escapeHtml(value: unknown): string {
  const text = value === null || value === undefined ? '' : String(value);
  const escaped = escapeMarkup(text);
  if (value instanceof WebAddress) return escaped;
  return escaped
    .replace(
      /(?<=[\p{L}\p{N}_-])[.\u3002\uff0e\uff61](?=[\p{L}\p{N}])|(?<=[\p{L}\p{N}+.-])[:\uff1a](?=\S)|[@\uff20]/gu,
      '<span>$&</span>',
    )
    .replaceAll('\n', '<br>');
}
