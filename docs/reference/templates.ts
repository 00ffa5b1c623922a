import { catalogueOf } from '../../src/languages/languages.ts';
import { OwnText } from '../../src/mail/compose/html.ts';
import {
  examples,
  optional,
  type TemplateKind,
  templateKinds,
  type Value,
} from '../../src/mail/compose/template-variables.ts';
import { code, table } from './markdown.ts';

type Variable = { [K in TemplateKind]: keyof (typeof examples)[K] }[TemplateKind];

/** A variable means the same in each mail. */
const meanings: Readonly<Record<Variable, string>> = {
  language: 'the language of the mail: `en` or `de`',
  t: 'the sentences of the mail in its language: [below](#sentences)',
  receipt: 'the short number of the message',
  form_slug: "the form's name in URLs",
  form_name: "the form's name for people, else the slug",
  received_at: 'when the message came, in `TIME_ZONE`',
  sender: 'the name, else the address, else “Somebody”',
  labels: 'what the form calls these fields; `message` only if it declares it',
  sender_name: 'the name that was given',
  sender_address: 'the address that was given',
  own_subject: "the subject in the form's words",
  headline: 'what happened: the parts before and after the sender, and the whole sentence',
  columns: 'labels for the text part, all equally wide',
  ending: 'the last sentences of the text part, in lines',
  own_text: "the text in the form's words",
  subject: 'the subject that was given',
  message: 'the message',
  preview: 'what mail programs show beside the subject',
  extra: "the other fields: each one's label and value",
  public_url: '`PUBLIC_URL`',
  public_host: 'its host',
  site_name: 'the name in `MAIL_FROM`, else the host of `PUBLIC_URL`',
  site_url: '`PUBLIC_URL`',
  site_host: 'its host',
  unsubscribe_url: 'stops confirmations to this address',
  count: 'how many messages there are',
  since: 'when the first one came',
  items: 'the messages; all but the receipt and the time may be empty',
  more: 'how many messages are not among the items',
  example_receipt: 'the receipt of one of them',
  link_days: 'how many days the links work',
};

function show(example: Value): string {
  if (Array.isArray(example)) return `[${example.map(show).join(', ')}]`;
  if (example === null || typeof example !== 'object') return String(example).replaceAll('\n', ' ');
  const entries = Object.entries(example);
  return entries.length === 0 || example instanceof OwnText
    ? String(example)
    : `{ ${entries.map(([key, it]) => `${key}: ${show(it)}`).join(', ')} }`;
}

export function templates(): string[] {
  const rows = (kind: TemplateKind) =>
    Object.entries(examples[kind]).map(([name, example]) => [
      code(name),
      meanings[name as Variable],
      name === 't' ? '' : code(show(example)),
      [...optional, 'preview', 'extra'].includes(name) ? 'yes' : '',
    ]);
  const [en, de] = [catalogueOf('en').mail, catalogueOf('de').mail];
  return [
    'What a template of a mail may use, where templates are, and how to look at one: [mail](../operating/mail.md#templates).',
    'An auto-reply has no variable that a visitor wrote.',
    '',
    ...templateKinds.flatMap((kind) => [
      ...[`## ${kind}`, '', ...table(['variable', 'what it is', 'example', 'may be empty'], rows(kind)), ''],
    ]),
    ...['## Sentences', ''],
    '`{{ t.thanks }}` prints one, with values in place of the other names: only `{sender}` is left to the template.',
    '',
    ...table(
      ['sentence', 'English', 'German'],
      Object.entries(en).map(([key, text]) => [code(`t.${key}`), text, de[key as keyof typeof de]]),
    ),
    ...[
      '',
      '## Filters',
      '',
      'Besides those of [LiquidJS](https://liquidjs.com/filters/overview.html), in subject and text:',
      '',
    ],
    ...table(
      ['filter', 'what it does'],
      [
        [
          code('{{ t.why | wrap }}'),
          'breaks a paragraph into lines of at most 70 characters; `wrap: 60` takes another number',
        ],
      ],
    ),
  ];
}
