import { WebAddress } from './html.ts';
import { breakLinks, cleanLine } from './plain-text.ts';

export interface HeldSummaryContent {
  /** How many messages were held since then. */
  readonly count: number;
  readonly since: Date;
  readonly messages: readonly HeldMessage[];
  readonly publicUrl: string;
  /** How long the links work; undefined if there are none. */
  readonly linkDays?: number;
}

export interface HeldMessage {
  readonly receipt: string;
  readonly formSlug: string;
  readonly receivedAt: Date;
  /** In words for people. */
  readonly reasons: string;
  /** What the visitor wrote; undefined if the summary must not show it. */
  readonly written?: { readonly name?: string; readonly address?: string; readonly text: string };
  readonly releaseUrl?: string;
}

/** In characters. */
const maxExcerpt = 80;

export function summaryValues(content: HeldSummaryContent, writeTime: (at: Date) => string) {
  const more = content.count - content.messages.length;
  return {
    language: 'en',
    count: String(content.count),
    since: writeTime(content.since),
    items: content.messages.map((it) => ({
      receipt: it.receipt,
      form: it.formSlug,
      received_at: writeTime(it.receivedAt),
      name: breakLinks(cleanLine(it.written?.name ?? '', 100)) || null,
      address: showAddress(it.written?.address ?? '') || null,
      // An ellipsis takes the place of the last character.
      excerpt: breakLinks(cleanLine(it.written?.text ?? '', maxExcerpt + 1)) || null,
      reasons: it.reasons,
      release_url: it.releaseUrl === undefined ? null : new WebAddress(it.releaseUrl),
    })),
    more: more > 0 ? String(more) : null,
    link_days: content.linkDays === undefined ? null : String(content.linkDays),
    example_receipt: content.messages[0]?.receipt ?? 'latest',
    public_url: new WebAddress(content.publicUrl),
    public_host: new URL(content.publicUrl).host,
  };
}

/** As it is written, to recognise it. But the part before the @ may look like a web address: `pills.test/buy@example.com`. */
function showAddress(address: string): string {
  const shown = /^[\w+.-]+@/.test(address) ? cleanLine(address, 254) : breakLinks(cleanLine(address, 254));
  return shown && `‹${shown}›`;
}
