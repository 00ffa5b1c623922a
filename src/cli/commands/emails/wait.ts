import type { EmailProgress } from '../../../services/emails/describe-emails.ts';
import { adviceWords } from '../../session/advice.ts';
import type { Call } from '../../session/command.ts';
import { everySecond } from '../../session/every-second.ts';
import { setExitCode } from '../../session/results.ts';
import { plural } from '../../terminal/output.ts';
import { showProgress } from '../../terminal/progress.ts';
import { warnOfPause } from './pause.ts';

const load = async () => ({
  ...(await import('../../../services/emails/describe-emails.ts')),
  ...(await import('../../../services/delivery/pause/pause.ts')),
});

/** Waits until these emails are sent or given up, and says why that takes time. Exits 1 if one was not sent. */
export async function waitForEmails(
  call: Call<unknown>,
  ids: readonly string[],
  stop: AbortSignal,
  isRefused: boolean,
): Promise<Pick<EmailProgress, 'sent' | 'queued'>> {
  const { deps, options, output } = call;
  let last: EmailProgress = { sent: 0, queued: ids.length, retryAt: null, isOverdue: false };
  let isPaused = false;
  using progress = showProgress(deps, options, undefined, `of ${plural(ids.length, 'email')} sent`);
  const say = (text: string) => {
    progress.clear();
    output.note(text);
  };
  if (ids.length > 0)
    await everySecond(call, stop, load, async (scope, { readProgress, readPause }) => {
      const now = await readProgress(scope, ids);
      const wasPaused = isPaused;
      isPaused = now.queued > 0 && (await readPause(scope.em, undefined)) !== null;
      if (isPaused && !wasPaused) {
        progress.clear();
        await warnOfPause(output, scope, options);
      }
      if (now.retryAt !== null && now.retryAt !== last.retryAt)
        say(`Waiting for a retry ${output.time(new Date(now.retryAt))}: ruffinweb emails list --state queued`);
      if (now.isOverdue && !last.isOverdue && !isPaused) say(adviceWords['start-worker']);
      last = now;
      progress.report(now.sent);
      return now.queued > 0;
    });
  const { sent, queued } = last;
  const lost = ids.length - sent - queued;
  if (queued > 0)
    say(`${plural(queued, 'email')} not sent yet, and still queued: ruffinweb emails list --state queued`);
  if (lost > 0) say(`${plural(sent, 'email')} sent, ${lost} not: ruffinweb emails list --state failed`);
  else if (sent > 0) say(`${plural(sent, 'email')} sent`);
  setExitCode(deps, stop, isRefused || lost > 0);
  return { sent, queued };
}
