import { adminPaths } from './admin.ts';
import { adminSchemas } from './admin-schemas.ts';
import * as django from './django.ts';
import type { OpenApi } from './document.ts';
import * as posts from './posts.ts';
import * as monitoring from './posts.ts';
import { answerSchemas, submissionSchema } from './schemas.ts';

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
      { name: 'Monitoring', description: 'For load balancers and monitoring.' },
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
