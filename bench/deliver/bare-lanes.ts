/** Ten bare nodemailer lanes that send the mails of a file: `node bare-lanes.ts <port> <file>`. */
import { readFileSync } from 'node:fs';
import { createTransport } from 'nodemailer';
import type { Mail } from '../../src/mail/mailer.ts';

const [port, file = ''] = process.argv.slice(2);
const mails = (JSON.parse(readFileSync(file, 'utf8')) as Mail[]).values();

await Promise.all(
  Array.from({ length: 10 }, async () => {
    const lane = createTransport({
      host: '127.0.0.1',
      port: Number(port),
      pool: true,
      maxConnections: 1,
      ignoreTLS: true,
    });
    for (const { from, to, replyTo, subject, text, html, internetMessageId, date, headers } of mails) {
      await lane.sendMail({
        from,
        to,
        ...(replyTo !== undefined && { replyTo }),
        subject,
        text,
        html,
        messageId: internetMessageId,
        date: new Date(date),
        headers: { ...headers },
      });
    }
    lane.close();
  }),
);
