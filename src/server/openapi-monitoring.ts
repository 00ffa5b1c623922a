import type { Operation } from './openapi/document.ts';
import { json } from './openapi-parts.ts';

export const getAlive: Operation = {
  operationId: 'getAlive',
  tags: ['Monitoring'],
  summary: 'Says that the server runs',
  responses: { 200: { description: 'It runs.', content: json('Alive', { status: 'ok' }) } },
};

const ready = { status: 'ok', checks: { database: 'ok', oldestDueSeconds: 0, schema: 'ok' } };
const away = { status: 'unavailable', checks: { database: 'away' } };

export const getReady: Operation = {
  operationId: 'getReady',
  tags: ['Monitoring'],
  summary: 'Says whether a message could be stored now',
  description: 'Looks at the database and its schema, and says how long the oldest due email has waited.',
  responses: {
    200: { description: 'It could.', content: json('Ready', ready) },
    503: { description: 'It could not.', content: json('Ready', away) },
  },
};
