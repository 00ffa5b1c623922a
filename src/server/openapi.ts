import { adminPaths } from './openapi-admin.ts';
import { adminSchemas } from './openapi-admin-schemas.ts';
import * as django from './openapi-django.ts';
import * as monitoring from './openapi-monitoring.ts';
import * as posts from './openapi-posts.ts';
import { answerSchemas, type Schema, submissionSchema } from './openapi-schemas.ts';

/** The parts of an OpenAPI 3.1 document that are used here. Descriptions hold no markup but `code`. */
export interface OpenApi {
  openapi: '3.1.0';
  info: { title: string; version: string; description: string; license: { name: string; identifier: string } };
  servers: { url: string }[];
  tags: { name: string; description: string }[];
  paths: Record<string, Partial<Record<'get' | 'post' | 'patch' | 'delete', Operation>>>;
  components: {
    schemas: Record<string, Schema>;
    securitySchemes: Record<string, { type: 'http'; scheme: 'bearer'; description: string }>;
  };
}

export interface Operation {
  operationId: string;
  tags: [string];
  summary: string;
  description?: string;
  parameters?: Parameter[];
  requestBody?: { required: true; content: Record<string, MediaType> };
  responses: Record<string, ApiAnswer>;
  security?: Record<string, readonly string[]>[];
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: true;
  description: string;
  schema: Schema;
}

export interface MediaType {
  schema: Schema;
  example?: unknown;
}

export interface ApiAnswer {
  description: string;
  headers?: Record<string, { description: string; schema: Schema }>;
  content?: Record<string, MediaType>;
}

/** Describes the API for programs; `/docs` shows the same document to people. */
export function describeApi(publicUrl: string): OpenApi {
  return {
    openapi: '3.1.0',
    info: {
      title: 'ruffinweb',
      version: '1',
      description:
        'Takes the posts of contact forms. A message is stored before the answer is given, and mail to its owner ' +
        'and its sender goes out afterwards, for days if it must.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: publicUrl }],
    tags: [
      { name: 'Messages', description: 'Where forms post to. No key is needed; the page’s origin must be allowed.' },
      { name: 'Formspree', description: 'The wire protocol of Formspree’s clients: only their endpoint changes.' },
      {
        name: 'Django',
        description: 'The routes of the Django backend that this replaces, with and without the slash at the end.',
      },
      {
        name: 'Desk',
        description:
          'What the command line can do to senders, messages and emails, for programs with a key: ' +
          '`Authorization: Bearer rw_…`. Scopes are `read`, `write` and `export`.',
      },
      { name: 'Monitoring', description: 'For load balancers and whoever watches.' },
    ],
    paths: {
      ...adminPaths,
      '/api/messages': { post: posts.postMessage, ...adminPaths['/api/messages'] },
      '/api/forms/{slug}/messages': { post: posts.postMessageToForm },
      '/api/captcha': { get: posts.getCaptcha },
      '/f/{slug}': { post: posts.postFormspree },
      '/api/sender/': { post: django.postDjangoSender },
      '/api/message/': { post: django.postDjangoMessage },
      '/api/send-email': { post: django.postDjangoSendEmail },
      '/livez': { get: monitoring.getAlive },
      '/readyz': { get: monitoring.getReady },
    },
    components: {
      schemas: { Submission: submissionSchema(), ...answerSchemas(), ...adminSchemas() },
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'A key of `ruffinweb keys create`.' } },
    },
  };
}
