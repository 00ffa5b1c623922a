import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The `.eml` files of a folder, for looking at. */
export interface Mailbox {
  /** The newest first. */
  list(limit: number): Promise<MailFile[]>;
  /** Undefined where there is no such file. */
  read(name: string): Promise<MailText | undefined>;
}

export interface MailFile {
  /** Of the file, without a folder. */
  name: string;
  kind: string;
  to: string;
  subject: string;
  date: string;
}

export interface MailText extends MailFile {
  headers: { name: string; value: string }[];
  text: string;
  /** As it was sent: nothing that may be trusted. */
  html: string;
}

/** As `files.ts` names them; nothing else of the folder is shown, or reached by a name. */
const fileName = /^\d{8}T\d{6}Z-[a-z][a-z-]{0,40}-[A-Za-z0-9-]{1,64}\.eml$/;

export function openMailbox(folder: string): Mailbox {
  async function read(name: string): Promise<MailText | undefined> {
    if (!fileName.test(name)) return undefined;
    const raw = await readFile(join(folder, name)).catch(ignoreAbsence);
    if (raw === undefined) return undefined;
    const { default: PostalMime } = await import('postal-mime');
    const mail = await PostalMime.parse(raw);
    return {
      name,
      kind: /Z-(notification|auto-reply|held-summary|test)-/.exec(name)?.[1] ?? 'mail',
      to: mail.to?.[0]?.address ?? '',
      subject: mail.subject ?? '',
      date: mail.date ?? '',
      headers: mail.headers.map((it) => ({ name: it.originalKey, value: it.value })),
      text: mail.text ?? '',
      html: mail.html ?? '',
    };
  }
  return {
    read,
    async list(limit) {
      const names = (await readdir(folder).catch(ignoreAbsence)) ?? [];
      // The names begin with the time.
      const newest = names
        .filter((it) => fileName.test(it))
        .sort((a, b) => (a < b ? 1 : -1))
        .slice(0, limit);
      const mails = await Promise.all(newest.map((it) => read(it)));
      return mails.filter((it) => it !== undefined);
    },
  };
}

function ignoreAbsence(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
