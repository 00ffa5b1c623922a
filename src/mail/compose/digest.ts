import { WebAddress } from './html.ts';
import { cleanLine } from './plain-text.ts';

export interface DigestContent {
  /** How many messages there are, including messages that are not named. */
  readonly count: number;
  readonly formSlug: string;
  readonly formName?: string | null | undefined;
  /** Oldest first. Name and address are empty if there is none. */
  readonly messages: ReadonlyArray<{
    readonly receipt: string;
    readonly receivedAt: Date;
    readonly name: string;
    readonly address: string;
  }>;
  readonly publicUrl: string;
}

export function digestValues(content: DigestContent, now: Date, writeTime: (at: Date) => string) {
  const more = content.count - content.messages.length;
  return {
    language: 'en',
    count: String(content.count),
    since: writeTime(content.messages[0]?.receivedAt ?? now),
    form_slug: content.formSlug,
    form_name: cleanLine(content.formName ?? '', 100) || content.formSlug,
    items: content.messages.map((it) => ({
      receipt: it.receipt,
      received_at: writeTime(it.receivedAt),
      name: cleanLine(it.name, 200) || null,
      address: cleanLine(it.address, 254) || null,
    })),
    more: more > 0 ? String(more) : null,
    example_receipt: content.messages[0]?.receipt ?? 'latest',
    public_url: new WebAddress(content.publicUrl),
    public_host: new URL(content.publicUrl).host,
  };
}
