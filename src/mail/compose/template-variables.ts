import { catalogueOf } from '../../languages/languages.ts';
import { OwnText, WebAddress } from './html.ts';
import { inColumn } from './plain-text.ts';

type Plain = string | null | WebAddress | OwnText;
type Texts = Readonly<Record<string, Plain>>;
export type Value = Plain | Texts | readonly Texts[];
export type Values = Readonly<Record<string, Value>>;

/** Every variable that a template may use, with an example. */
export const examples = {
  notification: {
    language: 'en',
    t: catalogueOf('en').mail,
    receipt: 'RW-0000000000',
    form_slug: 'contact',
    form_name: 'Contact',
    received_at: '1 January 2026 at 00:00 UTC',
    sender: 'Ada',
    labels: { name: 'Name', email: 'E-mail', subject: 'Subject', message: 'Your question' },
    columns: inColumn({
      name: 'Name',
      email: 'E-mail',
      subject: 'Subject',
      form: 'Form',
      received: 'Received',
      receipt: 'Receipt',
    }),
    headline: { before: '', after: ' wrote to you', whole: 'Ada wrote to you' },
    ending: 'It was sent by the form “contact” at https://example.com',
    sender_name: 'Ada',
    sender_address: 'ada@example.com',
    own_subject: 'An order by Ada',
    subject: 'Hello',
    message: 'Hello,\nhow are you?',
    preview: 'Hello, how are you?',
    extra: [{ name: 'Company', value: 'Engines' }],
    public_url: new WebAddress('https://example.com'),
    public_host: 'example.com',
  },
  'auto-reply': {
    language: 'en',
    t: catalogueOf('en').mail,
    own_subject: 'See you on Friday',
    own_text: new OwnText('The doors open at seven.'),
    receipt: 'RW-0000000000',
    site_name: 'example.com',
    site_url: new WebAddress('https://example.com'),
    site_host: 'example.com',
    received_at: '1 January 2026 at 00:00 UTC',
    unsubscribe_url: new WebAddress('https://example.com/unsubscribe'),
  },
  digest: {
    language: 'en',
    count: '2',
    since: '1 January 2026 at 00:00 UTC',
    form_slug: 'contact',
    form_name: 'Contact',
    items: [
      {
        receipt: 'RW-0000000000',
        received_at: '1 January 2026 at 00:00 UTC',
        name: 'Ada',
        address: 'ada@example.com',
      },
    ],
    more: '1',
    example_receipt: 'RW-0000000000',
    public_url: new WebAddress('https://example.com'),
    public_host: 'example.com',
  },
  'held-summary': {
    language: 'en',
    count: '2',
    since: '1 January 2026 at 00:00 UTC',
    items: [
      {
        receipt: 'RW-0000000000',
        form: 'contact',
        received_at: '1 January 2026 at 00:00 UTC',
        name: 'Ada',
        address: 'ada@example.com',
        excerpt: 'Hello, how are you?',
        reasons: 'many links',
        release_url: new WebAddress('https://example.com/release'),
      },
    ],
    more: '1',
    link_days: '14',
    example_receipt: 'RW-0000000000',
    public_url: new WebAddress('https://example.com'),
    public_host: 'example.com',
  },
} satisfies Record<string, Values>;

/** Variables that may be null. */
export const optional = [
  ...['sender_name', 'sender_address', 'subject', 'message', 'own_subject', 'own_text'],
  ...['unsubscribe_url', 'more', 'link_days'],
];

export type TemplateKind = keyof typeof examples;
export const templateKinds = Object.keys(examples) as TemplateKind[];
