import { adminPaths } from './admin.ts';
import { adminSchemas } from './admin-schemas.ts';
import * as django from './django.ts';
import type { OpenApi } from './document.ts';
import * as posts from './posts.ts';
import { answerSchemas, submissionSchema } from './schemas.ts';

/** Describes the HTTP API for programs. `/docs` shows this document to people. */
export function describeApi(publicUrl: string): OpenApi {
  return {
    openapi: '3.1.0',
    info: {
      title: 'ruffinweb',
      version: '1',
      description:
        'Receives posts from contact forms. A message is stored before the response is sent. Mail to the form’s owner ' +
        'and to the sender is delivered afterwards, with retries for days.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: publicUrl }],
    tags: [
      { name: 'Messages', description: 'For forms. No key is needed; the page’s origin must be allowed.' },
      { name: 'Formspree', description: 'The protocol of Formspree’s clients: only their endpoint changes.' },
      {
        name: 'Django',
        description: 'The routes of the Django backend that this program replaces, with or without the final slash.',
      },
      {
        name: 'Desk',
        description:
          'Manages senders, messages and emails, like the command line. Needs an API key: ' +
          '`Authorization: Bearer rw_…`. Its scopes are `read`, `write` and `export`.',
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
      '/livez': { get: posts.getAlive },
      '/readyz': { get: posts.getReady },
    },
    components: {
      schemas: {
        Submission: submissionSchema(),
        AnySubmission: submissionSchema([]),
        ...answerSchemas(),
        ...adminSchemas(),
      },
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'A key from `ruffinweb keys create`.' } },
    },
  };
}
