import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The names of `file-mailer.ts`. No other file of the folder can be listed or read. */
const fileName = /^\d{8}T\d{6}Z-[a-z][a-z-]{0,40}-[A-Za-z0-9-]{1,64}\.eml$/;

export type Mailbox = ReturnType<typeof openMailbox>;

export type MailText = NonNullable<Awaited<ReturnType<typeof readMail>>>;

/** Reads the `.eml` files of a folder. */
export function openMailbox(folder: string) {
  return {
    /** @returns undefined if there is no such file. */
    read: async (name: string) => await readMail(folder, name),
    /** The newest come first. */
    async list(limit: number): Promise<MailText[]> {
      const names = (await readdir(folder).catch(ignoreAbsence)) ?? [];
      // The names begin with the time.
      const newest = names
        .filter((it) => fileName.test(it))
        .sort((a, b) => (a < b ? 1 : -1))
        .slice(0, limit);
      const mails = await Promise.all(newest.map((it) => readMail(folder, it)));
      return mails.filter((it) => it !== undefined);
    },
  };
}

async function readMail(folder: string, name: string) {
  if (!fileName.test(name)) return undefined;
  const raw = await readFile(join(folder, name)).catch(ignoreAbsence);
  if (raw === undefined) return undefined;
  const { default: PostalMime } = await import('postal-mime');
  const mail = await PostalMime.parse(raw);
  return {
    name,
    kind: /Z-(notification|auto-reply|held-summary|reply|test)-/.exec(name)?.[1] ?? 'mail',
    from: mail.from?.address ?? '',
    to: mail.to?.[0]?.address ?? '',
    subject: mail.subject ?? '',
    date: mail.date ?? '',
    headers: mail.headers.map((it) => ({ name: it.originalKey, value: it.value })),
    text: mail.text ?? '',
    /** As it was sent. Do not trust it. */
    html: mail.html ?? '',
  };
}

function ignoreAbsence(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
