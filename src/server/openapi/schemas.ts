import * as z from 'zod';
import { solutionFields } from '../../captcha/kinds.ts';
import { fieldLimits, knownFields } from '../../services/forms/fields.ts';
import { problemKinds } from '../http/problem-details.ts';
import type { Schema } from './document.ts';

const meanings: Record<keyof typeof knownFields, string> = {
  email: 'Where an answer should go: one address.',
  message: 'The text.',
  name: 'The sender’s name, on one line. `first_name` and `firstName` are taken where it is absent.',
  subject: 'What it is about, on one line.',
};

/** Fields that are instructions or other names of a known one, and so are not kept as extra fields. */
const instructions: Record<string, string> = {
  first_name: 'Taken for `name` where that is absent.',
  firstName: 'Taken for `name` where that is absent.',
  _replyto: 'Taken for `email` where that is absent.',
  _subject: 'Taken for `subject` where that is absent.',
  _next: 'Where a browser without script goes after a post; only to an allowed origin.',
  _redirect: 'Taken for `_next` where that is absent.',
  _gotcha: 'A trap for robots: leave it empty and out of sight. So are `_honey`, `bot-field` and `botcheck`.',
  _honey: 'Another name of `_gotcha`.',
  _elapsed: 'Milliseconds since the form was shown; `/form.js` sets it. Fewer than a person needs look like spam.',
  ...Object.fromEntries(
    Object.entries(solutionFields).map(([kind, name]) => [
      name,
      kind === 'altcha'
        ? 'The solution of a challenge of `/api/captcha`, where that is asked for.'
        : `What the widget of ${kind} gives, where that is asked for.`,
    ]),
  ),
};

/** The body of a post: what `checkFields` takes, with its own limits. */
export function submissionSchema(): Schema {
  const described = Object.entries(knownFields).map(([name, { limit }]): [string, Schema] => [
    name,
    {
      type: 'string',
      description: meanings[name as keyof typeof meanings],
      maxLength: limit,
      ...(name === 'email' && { format: 'email' }),
    },
  ]);
  return {
    type: 'object',
    required: Object.entries(knownFields).flatMap(([name, rule]) => ('required' in rule ? [name] : [])),
    properties: {
      ...Object.fromEntries(described),
      ...Object.fromEntries(
        Object.entries(instructions).map(([name, description]) => [name, { type: 'string', description }]),
      ),
    },
    additionalProperties: {
      type: ['string', 'number', 'boolean', 'null', 'array'],
      items: { type: 'string' },
      maxLength: fieldLimits.extraValue,
      description:
        `Up to ${fieldLimits.extraFields} further fields are kept; their names have at most ${fieldLimits.extraName} ` +
        'characters. Several texts of one name, or a list of texts, become one text, joined by commas.',
    },
  };
}

export const schemaOf = (schema: z.ZodType): Schema => {
  const { $schema, ...rest } = z.toJSONSchema(schema) as Schema & { $schema?: string };
  return rest;
};

export const receipt = z
  .string()
  .regex(/^RW-[0-9A-HJKMNP-TV-Z]{10}$/)
  .describe('The short number that visitor, owner and operator see for this message.');

export function answerSchemas(): Record<string, Schema> {
  const text = z.string();
  return {
    Stored: schemaOf(
      z.object({
        id: z.uuid().describe('The message’s id.'),
        receipt,
        receivedAt: z.iso.datetime().describe('When it was stored.'),
      }),
    ),
    Problem: schemaOf(
      z.looseObject({
        type: text.describe('`urn:ruffinweb:problem:` and the code.'),
        title: text.describe('What this kind of problem is.'),
        status: z.int().describe('The HTTP status.'),
        detail: text.describe('What is wrong with this request.'),
        code: z
          .enum(problemKinds.map((it) => it.code))
          .describe('The kind of problem, for programs. It stays as it is from release to release.'),
        requestId: text.describe('Also in the header `X-Request-Id` and in the server’s log.'),
        errors: z
          .array(
            z.object({
              field: text.describe('The field’s name; empty where it is about the whole.'),
              code: z.enum(['missing', 'too-long', 'invalid', 'too-many', 'file']),
              message: text.describe('To be read after the field’s name.'),
            }),
          )
          .optional()
          .describe('Every faulty field, with `fields-invalid`.'),
      }),
    ),
    Challenge: schemaOf(
      z.looseObject({
        parameters: z
          .looseObject({
            algorithm: text.describe('`SHA-256` or `PBKDF2/SHA-256`, with 384 and 512 alike.'),
            nonce: text,
            salt: text,
            cost: z.int(),
            keyLength: z.int(),
            keyPrefix: text,
            expiresAt: z.int().optional(),
          })
          .describe('What to solve. It goes back unchanged.'),
        signature: text,
      }),
    ),
    FormspreeSent: schemaOf(
      z.looseObject({ ok: z.literal(true), next: text.describe('Where the visitor may go on.') }),
    ),
    FormspreeRefused: schemaOf(
      z.looseObject({
        error: text.optional(),
        errors: z.array(z.looseObject({ field: text.optional(), code: text.optional(), message: text })),
      }),
    ),
    DjangoSender: schemaOf(z.object({ name: text, email: text })),
    DjangoMessage: schemaOf(z.object({ message: text, message_sender: text, date: text })),
    DjangoUnfit: {
      oneOf: [
        schemaOf(z.record(text, z.array(text)).describe('Each faulty field with what is wrong with it.')),
        schemaOf(z.object({ detail: text })),
      ],
    },
    DjangoDetail: schemaOf(z.object({ detail: text })),
    Alive: schemaOf(z.object({ status: z.literal('ok') })),
    Ready: schemaOf(
      z.object({
        status: z.enum(['ok', 'unavailable']),
        checks: z.record(text, z.union([text, z.number()])).describe('Each check with what it found.'),
      }),
    ),
  };
}
