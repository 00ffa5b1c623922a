import type Router from '@koa/router';
import { defaultFormSlug, findOpenForm } from '../../services/forms/forms.ts';
import { checkSubmission } from '../../services/intake/submit-message.ts';
import type { RequestState } from '../http/request-scope.ts';
import type { Limits } from '../limits/limit-clients.ts';
import { readSubmission } from './read-submission.ts';
import { takeSubmission } from './take-submission.ts';

/**
 * The routes of the Django backend that this program replaces, with or without the final slash. Its frontend posts the same
 * JSON to all three, one after another, and stops if an answer is not 2xx.
 */
export function addDjangoRoutes(router: Router<RequestState>, limits: Limits): void {
  router.post('/api/sender', ...limits.requests, async (ctx) => {
    const { scope } = ctx.state;
    const submission = await readSubmission(ctx, defaultFormSlug);
    const { content } = checkSubmission(scope, await findOpenForm(scope, defaultFormSlug), submission);
    ctx.status = 201;
    ctx.body = { name: content.name ?? '', email: content.address ?? '' };
  });

  router.post('/api/message', ...limits.posts, (ctx) => takeSubmission(ctx, defaultFormSlug));

  // The mail was queued with the message. This must not fail for a visitor whose message is stored.
  router.post('/api/send-email', (ctx) => {
    ctx.status = 202;
    ctx.body = { detail: 'queued' };
  });
}
