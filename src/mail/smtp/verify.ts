import type { Outcome } from '../mailer.ts';
import { classify } from './classify.ts';
import type { ConnectionOptions } from './lane.ts';
import { SMTPConnection, sendCommand } from './nodemailer-internals.ts';
import { cleanReply } from './reply.ts';

/**
 * Names the sender of every mail, as a mail would, and takes it back. A server that lets us in may still refuse to send
 * for MAIL_FROM, and no mail would go through.
 *
 * @param done with the answer to MAIL FROM, or what went wrong.
 */
export function askForSender(
  connection: SMTPConnection,
  from: string,
  done: (error: Error | null, answer: string) => void,
): void {
  sendCommand(connection, `MAIL FROM:<${from}>`, (answer) => {
    if (answer.startsWith('2')) return connection.reset((error) => done(error ?? null, answer));
    const error = new Error(`MAIL FROM was refused: ${answer}`);
    done(Object.assign(error, { command: 'MAIL FROM', response: answer }), answer);
  });
}

/** Connects, logs in, asks whether mail from us is taken, and says goodbye, on a connection of its own. */
export async function verifySmtp(
  options: ConnectionOptions,
  from: string,
  deadlineMs: number,
  closing: AbortSignal,
): Promise<Outcome> {
  const connection = new SMTPConnection(options);
  const progress = { connected: true, began: false, handedOver: false };
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const fail = (error: Error) => resolve(classify(error, progress));
  const timer = setTimeout(
    () => resolve({ result: 'later', reply: 'no end of the login within the deadline' }),
    deadlineMs,
  );
  const stop = () => resolve({ result: 'later', reply: 'stopped before the mail server had answered' });
  if (closing.aborted) stop();
  closing.addEventListener('abort', stop, { once: true });
  const ask = () => {
    progress.began = true;
    askForSender(connection, from, (refused, answer) => {
      if (refused) return fail(refused);
      connection.quit();
      resolve({ result: 'accepted', reply: cleanReply(answer) });
    });
  };

  connection.on('error', fail);
  connection.once('end', () => fail(new Error('the server closed the connection')));
  connection.connect((error) => {
    if (error) fail(error);
    else if (!options.auth) ask();
    else connection.login(options.auth, (refused) => (refused ? fail(refused) : ask()));
  });
  try {
    const outcome = await promise;
    if (outcome.result !== 'accepted') connection.close();
    return outcome;
  } finally {
    clearTimeout(timer);
    closing.removeEventListener('abort', stop);
  }
}
